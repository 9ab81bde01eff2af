// Signal handlers. The one place with state outside an object: a handler is a plain function that
// the kernel calls with nothing of ours in its hands.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>

#include "platform/linux/linux_platform.h"

namespace spillway::platform {
namespace {

struct TruncationNotice {
  std::array<char, 1024> text;
  size_t size;
  int exit_code;
};

// Written before the handlers are installed, only read by them. See the top for why these exist.
// NOLINTBEGIN(cppcoreguidelines-avoid-non-const-global-variables): a handler has no other state
TruncationNotice truncation_notice;
std::atomic<bool> stop_flag = false;
std::atomic<bool> end_flag = false;
// NOLINTEND(cppcoreguidelines-avoid-non-const-global-variables)
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may not wait for a lock");

void set_handler(int signal, void (*handler)(int, siginfo_t*, void*)) {
  struct sigaction action {};
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  sigaction(signal, &action, nullptr);
}

void set_default(int signal) {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  sigemptyset(&action.sa_mask);
  sigaction(signal, &action, nullptr);
}

// May call only what is async-signal-safe.
void on_bus_error(int signal, siginfo_t* information, void*) {
  if (information->si_code != BUS_ADRERR) {
    set_default(signal);  // failed hardware, or a bug: the access is repeated and kills as usual
    return;
  }
  const char* text = truncation_notice.text.data();
  for (size_t left = truncation_notice.size; left > 0;) {
    const ssize_t written = write(STDERR_FILENO, text, left);
    if (written <= 0) break;
    text += written;
    left -= static_cast<size_t>(written);
  }
  _exit(truncation_notice.exit_code);
}

void on_interrupt(int signal, siginfo_t*, void*) {
  end_flag.store(signal == SIGTERM, std::memory_order_relaxed);
  stop_flag.store(true, std::memory_order_relaxed);
  end_on_interrupt();
}

}  // namespace

void exit_on_truncated_mapping(std::string_view message, int exit_code) {
  truncation_notice.size = std::min(message.size(), truncation_notice.text.size());
  std::copy_n(message.data(), truncation_notice.size, truncation_notice.text.data());
  truncation_notice.exit_code = exit_code;
  set_handler(SIGBUS, on_bus_error);
}

const std::atomic<bool>& stop_on_interrupt() {
  stop_flag.store(false, std::memory_order_relaxed);
  end_flag.store(false, std::memory_order_relaxed);
  set_handler(SIGINT, on_interrupt);
  set_handler(SIGTERM, on_interrupt);
  return stop_flag;
}

void end_on_interrupt() {
  set_default(SIGINT);
  set_default(SIGTERM);
}

bool asked_to_end() {
  return end_flag.load(std::memory_order_relaxed);
}

}  // namespace spillway::platform

#include "platform/call_stack.h"

#include <execinfo.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>

namespace spillway::platform {
namespace {

struct Free {
  void operator()(char** lines) const { std::free(lines); }
};

}  // namespace

uint64_t thread_id() {
  thread_local const auto id = static_cast<uint64_t>(gettid());  // a system call otherwise
  return id;
}

size_t capture_stack(std::span<void*> frames) {
  std::array<void*, 64> all = {};
  constexpr size_t kOurs = 1;  // this function
  const size_t wanted = std::min(frames.size() + kOurs, all.size());
  const auto found = static_cast<size_t>(backtrace(all.data(), static_cast<int>(wanted)));
  if (found <= kOurs) return 0;
  std::copy(all.begin() + kOurs, all.begin() + static_cast<std::ptrdiff_t>(found), frames.begin());
  return found - kOurs;
}

std::string describe_stack(std::span<void* const> frames) {
  const std::unique_ptr<char*, Free> lines(
      backtrace_symbols(frames.data(), static_cast<int>(frames.size())));
  std::string text;
  for (size_t i = 0; i < frames.size(); ++i) {
    if (lines != nullptr) {
      text += fmt::format("    {}\n", lines.get()[i]);
    } else {
      text += fmt::format("    {}\n", frames[i]);
    }
  }
  return text;
}

}  // namespace spillway::platform

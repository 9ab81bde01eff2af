#include "spillway/memory/adaptors/log.h"

#include <cstdint>
#include <ostream>
#include <utility>

#include "base/result.h"
#include "platform/call_stack.h"

namespace spillway::memory {
namespace {

// HH:MM:SS.ffffff
std::string text_of(std::chrono::microseconds time) {
  const std::chrono::hh_mm_ss parts(time);
  return fmt::format("{:02}:{:02}:{:02}.{:06}", parts.hours().count(), parts.minutes().count(),
                     parts.seconds().count(), parts.subseconds().count());
}

}  // namespace

AllocationLog::AllocationLog(std::ostream& out, TimeOfDay now) : out_(out), now_(std::move(now)) {
  out_ << "Thread,Time,Action,Pointer,Size,Stream\n";
}

void AllocationLog::allocated(const void* pointer, size_t bytes, Stream stream) {
  write("allocate", pointer, bytes, stream);
}

void AllocationLog::failed(size_t bytes, Stream stream) {
  write("allocate failure", nullptr, bytes, stream);
}

void AllocationLog::freed(const void* pointer, size_t bytes, Stream stream) {
  write("free", pointer, bytes, stream);
}

// Pointers as printf's %p has them, streams as ostream's << of a void*: what RMM writes.
void AllocationLog::write(const char* action, const void* pointer, size_t bytes, Stream stream) {
  const std::string where = pointer == nullptr ? "(nil)" : fmt::format("{}", pointer);
  const std::string on = stream.native == nullptr ? "0" : fmt::format("{}", stream.native);
  const std::string row = fmt::format("{},{},{},{},{},{}\n", platform::thread_id(), text_of(now_()),
                                      action, where, bytes, on);
  const std::lock_guard lock(mutex_);
  out_ << row;
}

}  // namespace spillway::memory

#include "spillway/memory/adaptors/tracking.h"

#include <fmt/format.h>

#include <iterator>
#include <span>
#include <utility>

#include "base/units.h"
#include "platform/call_stack.h"

namespace spillway::memory {

LiveAllocations::LiveAllocations(CallSites sites, OnLeak on_leak)
    : sites_(sites), on_leak_(std::move(on_leak)) {}

LiveAllocations::~LiveAllocations() {
  if (on_leak_ && !live_.empty()) on_leak_(report());
}

void LiveAllocations::allocated(void* pointer, size_t bytes, Stream stream) {
  if (pointer == nullptr) return;  // 0 bytes
  LiveAllocation allocation{.pointer = pointer, .bytes = bytes, .stream = stream};
  if (sites_ == CallSites::kKeep) allocation.depth = platform::capture_stack(allocation.frames);
  const std::lock_guard lock(mutex_);
  live_[pointer] = allocation;
  bytes_ += bytes;
}

void LiveAllocations::freed(void* pointer, size_t bytes) noexcept {
  if (pointer == nullptr) return;
  const std::lock_guard lock(mutex_);
  const auto found = live_.find(pointer);
  if (found == live_.end()) {
    ++wrong_frees_;
    return;
  }
  if (found->second.bytes != bytes) ++wrong_frees_;
  bytes_ -= found->second.bytes;  // not `bytes`: the account stays right
  live_.erase(found);
}

std::vector<LiveAllocation> LiveAllocations::outstanding() const {
  const std::lock_guard lock(mutex_);
  std::vector<LiveAllocation> list;
  list.reserve(live_.size());
  for (const auto& [pointer, allocation] : live_) list.push_back(allocation);
  return list;
}

size_t LiveAllocations::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

uint64_t LiveAllocations::wrong_frees() const {
  const std::lock_guard lock(mutex_);
  return wrong_frees_;
}

std::string LiveAllocations::report() const {
  std::string text;
  for (const LiveAllocation& allocation : outstanding()) {  // a copy: symbols are slow to find
    fmt::format_to(std::back_inserter(text), "{} at {} on stream {}\n",
                   format_size(allocation.bytes), allocation.pointer, allocation.stream.native);
    text += platform::describe_stack(std::span(allocation.frames).first(allocation.depth));
  }
  return text;
}

}  // namespace spillway::memory

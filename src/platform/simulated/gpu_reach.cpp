// What a simulated GPU reaches for copies and fills: mapped handles, registered host memory and
// managed memory.
#include <fmt/format.h>
#include <algorithm>

#include "base/result.h"
#include "platform/simulated/gpu_memory.h"

namespace spillway::platform {
Result<void> SimulatedGpuMemory::register_host(std::span<std::byte> range) {
  const uintptr_t start = address(range.data());
  if (range.empty() || start % page_bytes_ != 0 || range.size() % page_bytes_ != 0) {
    return fail(ErrorCode::kUsage, "register_host: {} bytes at {} are not whole pages of {}",
                range.size(), fmt::ptr(range.data()), page_bytes_);
  }
  const bool overlaps = std::any_of(registered_.begin(), registered_.end(), [&](const auto& other) {
    return other.first < start + range.size() && start < other.first + other.second;
  });
  if (overlaps) {
    return fail(ErrorCode::kUsage, "register_host: some of {} bytes at {} is registered already",
                range.size(), fmt::ptr(range.data()));
  }
  registered_[start] = range.size();
  return {};
}

Result<void> SimulatedGpuMemory::unregister_host(std::byte* start) {
  if (registered_.erase(address(start)) != 0) return {};
  return fail(ErrorCode::kUsage, "unregister_host: nothing was registered at {}", fmt::ptr(start));
}

Result<void> SimulatedGpuMemory::check_reachable(const std::byte* at, size_t bytes) const {
  const uintptr_t start = address(at);
  const uintptr_t end = start + bytes;
  if (bytes == 0) return {};
  // Ranges that touch count as one, mapped or registered.
  uintptr_t reached = start;
  const auto extend = [&](uintptr_t range_start, size_t range_bytes) {
    if (range_start <= reached && reached < range_start + range_bytes) {
      reached = range_start + range_bytes;
    }
  };
  auto mapping = mappings_.upper_bound(start);
  if (mapping != mappings_.begin()) --mapping;
  for (; mapping != mappings_.end() && mapping->first < end; ++mapping) {
    if (mapping->second.accessible) extend(mapping->first, mapping->second.bytes);
  }
  for (const auto& [range_start, range_bytes] : registered_) extend(range_start, range_bytes);
  for (const auto& [range_start, places] : managed_) {
    extend(range_start, places.size() * options_.granularity);
  }
  if (reached >= end) return {};
  const bool ours = inside_reservation(start, 1);
  if (options_.coherent && !ours) return {};
  return fail(ErrorCode::kUsage, "the GPU does not reach {} bytes at {}: {}", bytes, fmt::ptr(at),
              ours ? "they are not mapped, or access is not allowed"
                   : "they are neither mapped nor registered");
}

Result<void> SimulatedGpuMemory::check_flag(const uint32_t* flag) const {
  const auto* const at = reinterpret_cast<const std::byte*>(flag);
  if (address(at) % sizeof(uint32_t) != 0) {
    return fail(ErrorCode::kUsage, "a flag at {} is not aligned to 4 bytes", fmt::ptr(at));
  }
  return check_reachable(at, sizeof(uint32_t));
}

bool SimulatedGpuMemory::inside_reservation(uintptr_t start, size_t bytes) const {
  const auto after = reservations_.upper_bound(start);
  if (after == reservations_.begin()) return false;
  const auto& [range_start, range_bytes] = *std::prev(after);
  return bytes <= range_bytes && start - range_start <= range_bytes - bytes;
}

}  // namespace spillway::platform

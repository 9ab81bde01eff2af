// Managed memory of a simulated GPU: pages that the CPU and the stand-ins both reach, with books of
// where they lie. What touches them does not move them: tests bring them by prefetch().
#include <fmt/format.h>
#include <sys/mman.h>

#include <cerrno>

#include "base/result.h"
#include "platform/linux/error_text.h"
#include "platform/simulated/gpu_memory.h"

namespace spillway::platform {
Result<std::byte*> SimulatedGpuMemory::allocate_managed(size_t bytes) {
  SPILLWAY_TRY(check_size("allocate_managed", bytes));
  if (!options_.managed) {
    return fail(ErrorCode::kUsage, "allocate_managed: this GPU has no managed memory");
  }
  void* const start = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (start == MAP_FAILED) {
    return fail(ErrorCode::kMachine, "cannot allocate managed memory: {}", error_text(errno));
  }
  managed_[reinterpret_cast<uintptr_t>(start)] = Managed(bytes / options_.granularity);
  return static_cast<std::byte*>(start);
}

Result<void> SimulatedGpuMemory::free_managed(std::byte* start, size_t bytes) {
  const auto found = managed_.find(address(start));
  if (found == managed_.end() || found->second.size() * options_.granularity != bytes) {
    return fail(ErrorCode::kUsage, "free_managed: {} bytes at {} were not allocated as one", bytes,
                fmt::ptr(start));
  }
  for (const std::optional<Place>& place : found->second) {
    if (place) used(*place).bytes -= options_.granularity;
  }
  managed_.erase(found);
  munmap(start, bytes);
  return {};
}

Result<void> SimulatedGpuMemory::check_managed(const char* call, const std::byte* at,
                                               size_t bytes) const {
  SPILLWAY_TRY(check_size(call, bytes));
  const auto after = managed_.upper_bound(address(at));
  if (after != managed_.begin()) {
    const auto& [start, places] = *std::prev(after);
    const size_t size = places.size() * options_.granularity;
    if (bytes <= size && address(at) - start <= size - bytes) return {};
  }
  return fail(ErrorCode::kUsage, "{}: {} bytes at {} do not lie in managed memory", call, bytes,
              fmt::ptr(at));
}

Result<void> SimulatedGpuMemory::prefetch(std::byte* at, size_t bytes, Place place) {
  SPILLWAY_TRY(check_managed("prefetch", at, bytes));
  auto& [start, places] = *std::prev(managed_.upper_bound(address(at)));
  const size_t first = (address(at) - start) / options_.granularity;
  for (size_t i = first; i < first + bytes / options_.granularity; ++i) {
    if (places[i] == place) continue;
    SPILLWAY_TRY(take(options_.granularity, place));
    if (places[i]) used(*places[i]).bytes -= options_.granularity;
    places[i] = place;
  }
  return {};
}

}  // namespace spillway::platform

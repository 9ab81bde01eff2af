#include "platform/simulated/gpu_memory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <limits>

#include "base/check.h"
#include "base/result.h"
#include "base/units.h"
#include "platform/linux/error_text.h"

namespace spillway::platform {
namespace {

constexpr off_t kMemoryFileBytes = off_t{1} << 46;  // of offsets; more than any test creates

std::byte* pointer(uintptr_t address) {
  return reinterpret_cast<std::byte*>(address);
}

const char* name_of(Place place) {
  return place == Place::kDevice ? "device" : "host";
}

void* map_nothing(void* at, size_t bytes, int flags) {
  return mmap(at, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
}

}  // namespace

SimulatedGpuMemory::SimulatedGpuMemory(const SimulatedGpuOptions& options)
    : options_(options),
      page_bytes_(static_cast<size_t>(sysconf(_SC_PAGESIZE))),
      memory_(memfd_create("simulated_gpu", MFD_CLOEXEC)) {
  SPILLWAY_CHECK(std::has_single_bit(options.granularity));
  SPILLWAY_CHECK(options.granularity % page_bytes_ == 0);
  SPILLWAY_CHECK(options.context_bytes <= options.total_bytes);
  SPILLWAY_CHECK(memory_.valid() && ftruncate(memory_.get(), kMemoryFileBytes) == 0);
}

SimulatedGpuMemory::~SimulatedGpuMemory() {
  // As when a context is destroyed: what was not given back goes all the same.
  for (const auto& [start, bytes] : reservations_) munmap(pointer(start), bytes);
  for (const auto& [start, places] : managed_) {
    munmap(pointer(start), places.size() * options_.granularity);
  }
}

uint64_t SimulatedGpuMemory::capacity(Place place) const {
  return place == Place::kDevice ? options_.total_bytes - options_.context_bytes
                                 : options_.host_bytes;
}

uint64_t SimulatedGpuMemory::written_bytes() const {
  struct stat file = {};
  SPILLWAY_CHECK(fstat(memory_.get(), &file) == 0);
  return static_cast<uint64_t>(file.st_blocks) * 512;  // the unit of st_blocks
}

Result<void> SimulatedGpuMemory::check_size(const char* call, size_t bytes) const {
  if (bytes != 0 && bytes % options_.granularity == 0) return {};
  return fail(ErrorCode::kUsage, "{}: {} bytes are not a multiple of the granularity, {}", call,
              bytes, options_.granularity);
}

Result<HandleId> SimulatedGpuMemory::create(size_t bytes, Place place) {
  SPILLWAY_TRY(check_size("create", bytes));
  if (place == Place::kHost && !options_.host_handles) {
    return fail(ErrorCode::kUsage, "create: this GPU has no handles in host memory");
  }
  SPILLWAY_TRY(take(bytes, place));
  const uint64_t id = next_handle_++;
  handles_[id] = {.bytes = bytes, .place = place, .offset = next_offset_};
  next_offset_ += bytes;
  return HandleId{id};
}

Result<void> SimulatedGpuMemory::take(size_t bytes, Place place) {
  Used& used = this->used(place);
  if (bytes > capacity(place) - used.bytes) {
    return fail(ErrorCode::kMachine, "out of {} memory: {} asked for, {} of {} free",
                name_of(place), format_size(bytes), format_size(capacity(place) - used.bytes),
                format_size(capacity(place)));
  }
  used.bytes += bytes;
  used.peak = std::max(used.peak, used.bytes);
  return {};
}

Result<void> SimulatedGpuMemory::release(HandleId handle) {
  const auto found = handles_.find(handle.value);
  if (found == handles_.end() || found->second.released) {
    return fail(ErrorCode::kUsage, "release: there is no handle {}, or it is released already",
                handle.value);
  }
  found->second.released = true;
  give_back_if_unused(handle.value);
  return {};
}

void SimulatedGpuMemory::give_back_if_unused(uint64_t handle) {
  const auto found = handles_.find(handle);
  const Handle& it = found->second;
  if (!it.released || it.mappings != 0) return;
  SPILLWAY_CHECK(fallocate(memory_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                           static_cast<off_t>(it.offset), static_cast<off_t>(it.bytes)) == 0);
  used(it.place).bytes -= it.bytes;
  handles_.erase(found);
}

Result<std::byte*> SimulatedGpuMemory::reserve(size_t bytes, size_t alignment) {
  SPILLWAY_TRY(check_size("reserve", bytes));
  if (alignment != 0 && !std::has_single_bit(alignment)) {
    return fail(ErrorCode::kUsage, "reserve: the alignment {} is not a power of two", alignment);
  }
  alignment = std::max(alignment, options_.granularity);
  // mmap aligns to pages: ask for more and give back what lies before and after.
  void* mapped = bytes > std::numeric_limits<size_t>::max() - alignment
                     ? MAP_FAILED
                     : map_nothing(nullptr, bytes + alignment, 0);
  if (mapped == MAP_FAILED) {
    return fail(ErrorCode::kMachine, "cannot reserve {} of addresses", format_size(bytes));
  }
  const uintptr_t first = reinterpret_cast<uintptr_t>(mapped);
  const uintptr_t start = round_up(first, alignment);
  if (start != first) munmap(mapped, start - first);
  if (const size_t after = first + alignment - start; after != 0) {
    munmap(pointer(start + bytes), after);
  }
  reservations_[start] = bytes;
  return pointer(start);
}

Result<void> SimulatedGpuMemory::free_addresses(std::byte* start, size_t bytes) {
  const auto found = reservations_.find(address(start));
  if (found == reservations_.end() || found->second != bytes) {
    return fail(ErrorCode::kUsage, "free_addresses: {} bytes at {} were not reserved as one", bytes,
                fmt::ptr(start));
  }
  const auto mapping = mappings_.lower_bound(address(start));
  if (mapping != mappings_.end() && mapping->first < address(start) + bytes) {
    return fail(ErrorCode::kUsage, "free_addresses: handle {} is still mapped at {}",
                mapping->second.handle, fmt::ptr(pointer(mapping->first)));
  }
  reservations_.erase(found);
  munmap(start, bytes);
  return {};
}

Result<void> SimulatedGpuMemory::map(std::byte* at, size_t bytes, HandleId handle) {
  const auto found = handles_.find(handle.value);
  if (found == handles_.end() || found->second.released) {
    return fail(ErrorCode::kUsage, "map: there is no handle {}, or it is released", handle.value);
  }
  if (bytes != found->second.bytes) {
    return fail(ErrorCode::kUsage, "map: {} bytes of handle {}, which has {}", bytes, handle.value,
                found->second.bytes);
  }
  const uintptr_t start = address(at);
  if (start % options_.granularity != 0 || !inside_reservation(start, bytes)) {
    return fail(ErrorCode::kUsage, "map: {} bytes at {} do not lie in a reservation, aligned to {}",
                bytes, fmt::ptr(at), options_.granularity);
  }
  const auto next = mappings_.lower_bound(start);
  const bool next_overlaps = next != mappings_.end() && next->first - start < bytes;
  const bool last_overlaps =
      next != mappings_.begin() && start - std::prev(next)->first < std::prev(next)->second.bytes;
  if (next_overlaps || last_overlaps) {
    return fail(ErrorCode::kUsage, "map: something is mapped within {} bytes at {}", bytes,
                fmt::ptr(at));
  }
  if (mmap(at, bytes, PROT_NONE, MAP_SHARED | MAP_FIXED, memory_.get(),
           static_cast<off_t>(found->second.offset)) == MAP_FAILED) {
    return fail(ErrorCode::kMachine, "cannot map a handle: {}", error_text(errno));
  }
  ++found->second.mappings;
  mappings_[start] = {.bytes = bytes, .handle = handle.value};
  return {};
}

std::pair<SimulatedGpuMemory::Mappings::iterator, SimulatedGpuMemory::Mappings::iterator>
SimulatedGpuMemory::whole_mappings(uintptr_t start, size_t bytes) {
  const auto first = mappings_.find(start);
  size_t covered = 0;
  auto last = first;
  while (last != mappings_.end() && covered < bytes && last->first == start + covered) {
    covered += last->second.bytes;
    ++last;
  }
  if (bytes == 0 || covered != bytes) return {mappings_.end(), mappings_.end()};
  return {first, last};
}

Result<void> SimulatedGpuMemory::allow_access(std::byte* at, size_t bytes, Place place) {
  const auto [first, last] = whole_mappings(address(at), bytes);
  const bool one_place = std::all_of(first, last, [&](const auto& mapping) {
    return handles_.at(mapping.second.handle).place == place;
  });
  if (first == last || !one_place) {
    return fail(ErrorCode::kUsage, "allow_access: {} bytes at {} are not whole {} handles", bytes,
                fmt::ptr(at), name_of(place));
  }
  if (mprotect(at, bytes, PROT_READ | PROT_WRITE) != 0) {
    return fail(ErrorCode::kMachine, "cannot allow access: {}", error_text(errno));
  }
  for (auto mapping = first; mapping != last; ++mapping) mapping->second.accessible = true;
  return {};
}

Result<void> SimulatedGpuMemory::unmap(std::byte* at, size_t bytes) {
  const auto [first, last] = whole_mappings(address(at), bytes);
  if (first == last) {
    return fail(ErrorCode::kUsage, "unmap: {} bytes at {} are not whole mapped handles", bytes,
                fmt::ptr(at));
  }
  if (map_nothing(at, bytes, MAP_FIXED) == MAP_FAILED) {
    return fail(ErrorCode::kMachine, "cannot unmap: {}", error_text(errno));
  }
  for (auto mapping = first; mapping != last; mapping = mappings_.erase(mapping)) {
    --handles_.at(mapping->second.handle).mappings;
    give_back_if_unused(mapping->second.handle);
  }
  return {};
}

}  // namespace spillway::platform

// The memory of a simulated GPU: handles, reserved addresses, mappings, registered ranges and
// managed memory.
// Owned by its SimulatedGpu, which holds its lock around every call; thread-compatible.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "platform/linux/descriptor.h"
#include "platform/simulated/simulated_gpu.h"

namespace spillway::platform {

inline uintptr_t address(const std::byte* pointer) {
  return reinterpret_cast<uintptr_t>(pointer);
}

class SimulatedGpuMemory {
 public:
  explicit SimulatedGpuMemory(const SimulatedGpuOptions& options);
  ~SimulatedGpuMemory();
  SimulatedGpuMemory(const SimulatedGpuMemory&) = delete;
  SimulatedGpuMemory& operator=(const SimulatedGpuMemory&) = delete;

  // As in Gpu.
  Result<HandleId> create(size_t bytes, Place place);
  Result<void> release(HandleId handle);
  Result<std::byte*> reserve(size_t bytes, size_t alignment);
  Result<void> free_addresses(std::byte* start, size_t bytes);
  Result<void> map(std::byte* at, size_t bytes, HandleId handle);
  Result<void> allow_access(std::byte* at, size_t bytes, Place place);
  Result<void> unmap(std::byte* at, size_t bytes);
  Result<void> register_host(std::span<std::byte> range);
  Result<void> unregister_host(std::byte* start);
  Result<std::byte*> allocate_managed(size_t bytes);
  Result<void> free_managed(std::byte* start, size_t bytes);
  Result<void> prefetch(std::byte* at, size_t bytes, Place place);
  // kUsage if the range is not whole granules within one piece of managed memory.
  Result<void> check_managed(const char* call, const std::byte* at, size_t bytes) const;

  // kUsage if the GPU cannot reach all of the range.
  Result<void> check_reachable(const std::byte* at, size_t bytes) const;

  // The same for a flag, and if it is not aligned.
  Result<void> check_flag(const uint32_t* flag) const;

  // What a stream has to do for a copy or fill of reachable memory; it needs no lock for that, and
  // this object must live.
  using Work = std::function<void()>;
  void add_work(const CopyRequest& request, std::vector<Work>& works) const;
  Work fill_work(std::byte* at, std::byte value, size_t bytes) const;

  uint64_t capacity(Place place) const;
  uint64_t in_use(Place place) const { return used(place).bytes; }
  uint64_t peak(Place place) const { return used(place).peak; }
  uint64_t written_bytes() const;
  size_t handles() const { return handles_.size(); }
  size_t reservations() const { return reservations_.size(); }
  size_t mappings() const { return mappings_.size(); }
  size_t registrations() const { return registered_.size(); }
  size_t managed_ranges() const { return managed_.size(); }

 private:
  struct Handle {
    size_t bytes = 0;
    Place place = Place::kDevice;
    uint64_t offset = 0;  // in memory_
    size_t mappings = 0;
    bool released = false;
  };
  struct Mapping {
    size_t bytes = 0;
    uint64_t handle = 0;
    bool accessible = false;
  };
  struct Used {
    uint64_t bytes = 0;
    uint64_t peak = 0;
  };
  // Where each granule of managed memory lies; none: nobody has touched it.
  using Managed = std::vector<std::optional<Place>>;
  // Memory from an address on that is one mapping's, or nobody's: other host memory.
  struct Part {
    size_t bytes = 0;
    Place place = Place::kHost;
    std::optional<uint64_t> offset = std::nullopt;  // in memory_, if it is a mapping's
  };
  using Mappings = std::map<uintptr_t, Mapping>;  // by address

  Used& used(Place place) { return place == Place::kDevice ? device_ : host_; }
  const Used& used(Place place) const { return place == Place::kDevice ? device_ : host_; }
  Result<void> check_size(const char* call, size_t bytes) const;
  bool inside_reservation(uintptr_t start, size_t bytes) const;
  // The mappings that make up the range and nothing else; an empty pair if it has gaps or ends
  // within a mapping.
  std::pair<Mappings::iterator, Mappings::iterator> whole_mappings(uintptr_t start, size_t bytes);
  Part part_at(const std::byte* at) const;
  double copy_rate(Place to, Place from) const;
  void give_back_if_unused(uint64_t handle);
  // Books: bytes come into use in a place. kMachine if it is full.
  Result<void> take(size_t bytes, Place place);

  const SimulatedGpuOptions options_;
  const size_t page_bytes_;
  // One sparse file for all handles, so that a test may have more of them than a process may have
  // descriptors. Offsets are never used twice; what is given back is punched out.
  Descriptor memory_;
  uint64_t next_offset_ = 0;
  uint64_t next_handle_ = 1;
  Used device_;
  Used host_;
  std::map<uint64_t, Handle> handles_;
  std::map<uintptr_t, size_t> reservations_;
  Mappings mappings_;
  std::map<uintptr_t, size_t> registered_;
  std::map<uintptr_t, Managed> managed_;
};

}  // namespace spillway::platform

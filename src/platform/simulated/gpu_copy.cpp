// What a simulated GPU's copies and fills do: between handles they keep holes, and between places
// they take as long as the rate of their direction says.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>
#include <thread>

#include "platform/simulated/gpu_memory.h"
#include "platform/simulated/sparse_copy.h"

namespace spillway::platform {
namespace {

// Smaller work is plain: ThreadSanitizer then sees all its races, and looking for holes would cost
// more than it saves.
constexpr size_t kLeastSparseBytes = size_t{1} << 20;

void pass(double bytes, double bytes_per_second) {
  if (bytes_per_second > 0) {
    std::this_thread::sleep_for(std::chrono::duration<double>(bytes / bytes_per_second));
  }
}

}  // namespace

SimulatedGpuMemory::Part SimulatedGpuMemory::part_at(const std::byte* at) const {
  const auto start = reinterpret_cast<uintptr_t>(at);
  const auto next = mappings_.upper_bound(start);
  if (next != mappings_.begin()) {
    const auto& [mapping_start, mapping] = *std::prev(next);
    const size_t inside = start - mapping_start;
    if (inside < mapping.bytes) {
      const Handle& handle = handles_.at(mapping.handle);
      return {
          .bytes = mapping.bytes - inside, .place = handle.place, .offset = handle.offset + inside};
    }
  }
  return {.bytes =
              next != mappings_.end() ? next->first - start : std::numeric_limits<size_t>::max()};
}

double SimulatedGpuMemory::copy_rate(Place to, Place from) const {
  if (to == from) return 0;
  return to == Place::kDevice ? options_.copy_rates.to_device_bytes_per_second
                              : options_.copy_rates.to_host_bytes_per_second;
}

void SimulatedGpuMemory::add_work(const CopyRequest& request, std::vector<Work>& works) const {
  for (size_t done = 0; done < request.bytes;) {
    const Part to = part_at(request.to + done);
    const Part from = part_at(request.from + done);
    const SparseCopy part{.file = memory_.get(),
                          .to = request.to + done,
                          .from = request.from + done,
                          .to_offset = to.offset.value_or(0),
                          .from_offset = from.offset.value_or(0),
                          .bytes = std::min({request.bytes - done, to.bytes, from.bytes})};
    const bool sparse = to.offset && from.offset && part.bytes >= kLeastSparseBytes;
    works.emplace_back([part, sparse, rate = copy_rate(to.place, from.place)] {
      pass(static_cast<double>(part.bytes), rate);
      if (sparse) {
        copy_sparse(part);
      } else {
        std::memmove(part.to, part.from, part.bytes);
      }
    });
    done += part.bytes;
  }
}

SimulatedGpuMemory::Work SimulatedGpuMemory::fill_work(std::byte* at, std::byte value,
                                                       size_t bytes) const {
  const Part part = part_at(at);
  if (value == std::byte{0} && part.offset && kLeastSparseBytes <= bytes && bytes <= part.bytes) {
    return [=, file = memory_.get()] { clear_sparse(file, at, *part.offset, bytes); };
  }
  return [=] { std::memset(at, std::to_integer<int>(value), bytes); };
}

}  // namespace spillway::platform

#include "c_api/torch_memory.h"

#include <utility>

#include "base/result.h"

namespace spillway::c_api {

memory::StreamAllocator* TorchMemory::opened(int device) const noexcept {
  if (device < 0 || device >= kMostDevices) return nullptr;
  return allocators_[static_cast<size_t>(device)].load(std::memory_order_acquire);
}

Result<memory::StreamAllocator*> TorchMemory::allocator_of(int device) {
  if (memory::StreamAllocator* const allocator = opened(device)) return allocator;
  if (device < 0 || device >= kMostDevices) {
    return fail(ErrorCode::kUsage, "there is no GPU {}; numbers go from 0 to {}", device,
                kMostDevices - 1);
  }
  const std::lock_guard lock(opening_);
  if (memory::StreamAllocator* const allocator = opened(device)) return allocator;
  DeviceMemory memory;
  SPILLWAY_ASSIGN(memory.pool, open_(device));
  SPILLWAY_ASSIGN(memory.allocator,
                  memory::StreamAllocator::create(
                      *memory.pool, {.name = "PyTorch", .spills = memory.pool->mixes_tiers()}));
  devices_.push_back(std::move(memory));
  memory::StreamAllocator* const allocator = devices_.back().allocator.get();
  allocators_[static_cast<size_t>(device)].store(allocator, std::memory_order_release);
  return allocator;
}

Result<void*> TorchMemory::allocate(int device, Stream stream, size_t bytes) {
  SPILLWAY_ASSIGN(memory::StreamAllocator* const allocator, allocator_of(device));
  return allocator->allocate(stream, bytes);
}

void TorchMemory::deallocate(int device, Stream stream, void* pointer) noexcept {
  // What was never opened has nothing to take back.
  if (memory::StreamAllocator* const allocator = opened(device)) {
    allocator->deallocate(stream, pointer, 0);  // it knows the size
  }
}

}  // namespace spillway::c_api

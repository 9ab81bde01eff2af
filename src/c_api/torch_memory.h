// An allocator for each GPU, opened when PyTorch first asks for its memory. Thread-safe.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "spillway/memory/pool.h"
#include "spillway/memory/stream_allocator.h"

namespace spillway::c_api {

struct DeviceMemory {
  std::unique_ptr<memory::Pool> pool;
  std::unique_ptr<memory::StreamAllocator> allocator;
};

class TorchMemory {
 public:
  using Opener = std::function<Result<std::unique_ptr<memory::Pool>>(int device)>;
  explicit TorchMemory(Opener open) : open_(std::move(open)) {}

  // Where a GPU cannot be opened the next call tries again.
  Result<void*> allocate(int device, Stream stream, size_t bytes);
  void deallocate(int device, Stream stream, void* pointer) noexcept;

 private:
  static constexpr int kMostDevices = 64;
  Result<memory::StreamAllocator*> allocator_of(int device);
  memory::StreamAllocator* opened(int device) const noexcept;

  const Opener open_;
  // Of each GPU; null: not opened. Apart from devices_, so that allocations take no lock here.
  std::array<std::atomic<memory::StreamAllocator*>, kMostDevices> allocators_ = {};
  // Held while a GPU is opened, driver calls and all: two pools of the same GPU would each promise
  // the same memory. No callback comes back here, and what is open already is found without it.
  std::mutex opening_;
  std::vector<DeviceMemory> devices_;
};

}  // namespace spillway::c_api

// The simulated GPU, call by call: what concerns memory is SimulatedGpuMemory's, under its lock;
// work goes into streams. Thread-safe.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "platform/simulated/gpu_memory.h"
#include "platform/simulated/gpu_stream.h"

namespace spillway::platform {

class Simulation : public SimulatedGpu {
 public:
  explicit Simulation(const SimulatedGpuOptions& options);

  const GpuInfo& info() const override { return info_; }
  Result<GpuMemory> memory() const override {
    const auto lock = enter();
    const uint64_t capacity = memory_.capacity(Place::kDevice);
    return GpuMemory{.free_bytes = capacity - memory_.in_use(Place::kDevice),
                     .total_bytes = info_.total_bytes};
  }
  uint64_t driver_calls() const override { return calls_; }

  Result<HandleId> create(size_t bytes, Place place) override {
    const auto lock = enter();
    return memory_.create(bytes, place);
  }
  Result<void> release(HandleId handle) override {
    const auto lock = enter();
    return memory_.release(handle);
  }
  Result<std::byte*> reserve(size_t bytes, size_t alignment) override {
    const auto lock = enter();
    return memory_.reserve(bytes, alignment);
  }
  Result<void> free_addresses(std::byte* start, size_t bytes) override {
    const auto lock = enter();
    return memory_.free_addresses(start, bytes);
  }
  Result<void> map(std::byte* at, size_t bytes, HandleId handle) override {
    const auto lock = enter();
    return memory_.map(at, bytes, handle);
  }
  // Stand-ins are the CPU: there is nothing more to allow.
  Result<void> allow_cpu_access(std::byte* at, size_t bytes) override {
    return allow_access(at, bytes, Place::kHost);
  }
  Result<void> allow_access(std::byte* at, size_t bytes, Place place) override {
    const auto lock = enter();
    return memory_.allow_access(at, bytes, place);
  }
  Result<void> unmap(std::byte* at, size_t bytes) override {
    const auto lock = enter();
    return memory_.unmap(at, bytes);
  }
  Result<void> register_host(std::span<std::byte> range) override {
    const auto lock = enter();
    return memory_.register_host(range);
  }
  Result<void> unregister_host(std::byte* start) override {
    const auto lock = enter();
    return memory_.unregister_host(start);
  }

  Result<std::byte*> allocate_managed(size_t bytes) override {
    const auto lock = enter();
    return memory_.allocate_managed(bytes);
  }
  Result<void> free_managed(std::byte* start, size_t bytes) override {
    const auto lock = enter();
    return memory_.free_managed(start, bytes);
  }
  // A wish that changes nothing here: pages stay where they were brought.
  Result<void> prefer(std::byte* at, size_t bytes, Place) override {
    const auto lock = enter();
    return memory_.check_managed("prefer", at, bytes);
  }
  Result<void> prefetch(std::byte* at, size_t bytes, Place place, Stream stream) override;

  Result<Stream> create_stream() override;
  Result<void> destroy_stream(Stream stream) override;
  Result<void> synchronise(Stream stream) override;
  Result<EventId> create_event() override;
  Result<void> destroy_event(EventId event) override;
  Result<void> record(EventId event, Stream stream) override;
  Result<bool> ended(EventId event) override;
  Result<void> wait(EventId event) override;
  Result<void> wait(Stream stream, EventId event) override;

  Result<void> write_flag(uint32_t* flag, uint32_t value, Stream stream) override;
  Result<void> wait_flag(uint32_t* flag, uint32_t value, Stream stream) override;

  Result<void> copy(const CopyRequest& request, Stream stream) override {
    return copy(std::span(&request, 1), stream);
  }
  Result<void> copy(std::span<const CopyRequest> requests, Stream stream) override;
  Result<void> fill(std::byte* at, std::byte value, size_t bytes, Stream stream) override;
  Result<void> launch(const Kernel& kernel, LaunchShape shape,
                      std::span<const KernelArgument> arguments, Stream stream) override;

  size_t handles() const override { return counted(&SimulatedGpuMemory::handles); }
  size_t reservations() const override { return counted(&SimulatedGpuMemory::reservations); }
  size_t mappings() const override { return counted(&SimulatedGpuMemory::mappings); }
  size_t managed_ranges() const override { return counted(&SimulatedGpuMemory::managed_ranges); }
  size_t registrations() const override { return counted(&SimulatedGpuMemory::registrations); }
  size_t streams() const override {
    const std::lock_guard lock(mutex_);
    return streams_.size() - 1;
  }
  size_t events() const override {
    const std::lock_guard lock(mutex_);
    return events_.size();
  }
  uint64_t device_bytes_in_use() const override {
    const std::lock_guard lock(mutex_);
    return memory_.in_use(Place::kDevice);
  }
  uint64_t peak_device_bytes() const override {
    const std::lock_guard lock(mutex_);
    return memory_.peak(Place::kDevice);
  }
  uint64_t host_bytes_in_use() const override {
    const std::lock_guard lock(mutex_);
    return memory_.in_use(Place::kHost);
  }
  uint64_t written_bytes() const override {
    const std::lock_guard lock(mutex_);
    return memory_.written_bytes();
  }

 private:
  std::unique_lock<std::mutex> enter() const {
    ++calls_;
    return std::unique_lock(mutex_);
  }
  size_t counted(size_t (SimulatedGpuMemory::*count)() const) const {
    const std::lock_guard lock(mutex_);
    return (memory_.*count)();
  }
  // These two: with the lock held.
  Result<SimulatedStream*> find(Stream stream);
  Result<StreamMark*> find(EventId event);

  const SimulatedGpuOptions options_;
  const GpuInfo info_;
  mutable std::atomic<uint64_t> calls_ = 0;
  // Streams never take it, so that it orders none of their work for ThreadSanitizer.
  mutable std::mutex mutex_;
  SimulatedGpuMemory memory_;
  uintptr_t next_id_ = 1;                   // of streams and events; none comes twice
  std::map<uintptr_t, StreamMark> events_;  // null: never recorded
  std::map<uintptr_t, std::unique_ptr<SimulatedStream>> streams_;  // 0: the null stream
  std::vector<std::unique_ptr<SimulatedStream>> retired_;          // destroyed, may have work left
};

}  // namespace spillway::platform

// A GPU around another one, whose n-th call fails before it gets there: once, or from then on for
// good, as on a GPU that is lost. For tests that fail every call of a scenario in turn. The GPU
// inside must outlive it. Thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>

#include "platform/gpu.h"

namespace spillway::platform {

// The calls that can fail, in the order of Gpu.
enum class GpuCall {
  kMemory,
  kCreate,
  kRelease,
  kReserve,
  kFreeAddresses,
  kMap,
  kAllowAccess,
  kAllowCpuAccess,
  kUnmap,
  kRegisterHost,
  kUnregisterHost,
  kAllocateManaged,
  kFreeManaged,
  kPrefer,
  kPrefetch,
  kCreateStream,
  kDestroyStream,
  kSynchronise,
  kCreateEvent,
  kDestroyEvent,
  kRecord,
  kEnded,
  kWait,
  kStreamWait,
  kWriteFlag,
  kWaitFlag,
  kCopy,
  kCopyBatch,
  kFill,
  kLaunch
};
inline constexpr size_t kGpuCalls = static_cast<size_t>(GpuCall::kLaunch) + 1;

const char* name_of(GpuCall call);
// release, free_addresses, unmap, unregister_host, free_managed, destroy_stream, destroy_event.
bool gives_back(GpuCall call);

// Whether calls that give something back are counted and fail like all others.
enum class GivingBack { kCanFail, kNeverFails };

class FaultyGpu : public Gpu {
 public:
  explicit FaultyGpu(Gpu& inside, GivingBack giving_back = GivingBack::kCanFail)
      : inside_(inside), giving_back_(giving_back) {}

  // The n-th counted call from now (1: the next) fails with kMachine, or with for_good every
  // counted one from there on. n = 0: none. Replaces what was set before.
  void fail_call(uint64_t n, bool for_good);
  // The same, counting only calls of this one operation; fails also one that gives back.
  void fail_call(GpuCall only, uint64_t n, bool for_good);
  // Takes the fault out, so that nothing fails until it is put back; calls meanwhile do not bring
  // it nearer.
  struct Fault {
    std::optional<GpuCall> only;
    uint64_t left = 0;  // counted calls until it comes; 0: never
    bool for_good = false;
  };
  Fault suspend();
  void resume(const Fault& fault);
  uint64_t calls() const;  // counted so far, failed ones too
  uint64_t calls(GpuCall call) const;
  uint64_t failures() const;  // that were brought about

  const GpuInfo& info() const override { return inside_.info(); }
  uint64_t driver_calls() const override { return inside_.driver_calls(); }
  Result<GpuMemory> memory() const override;
  Result<HandleId> create(size_t bytes, Place place) override;
  Result<void> release(HandleId handle) override;
  Result<std::byte*> reserve(size_t bytes, size_t alignment) override;
  Result<void> free_addresses(std::byte* start, size_t bytes) override;
  Result<void> map(std::byte* at, size_t bytes, HandleId handle) override;
  Result<void> allow_access(std::byte* at, size_t bytes, Place place) override;
  Result<void> allow_cpu_access(std::byte* at, size_t bytes) override;
  Result<void> unmap(std::byte* at, size_t bytes) override;
  Result<void> register_host(std::span<std::byte> range) override;
  Result<void> unregister_host(std::byte* start) override;
  Result<std::byte*> allocate_managed(size_t bytes) override;
  Result<void> free_managed(std::byte* start, size_t bytes) override;
  Result<void> prefer(std::byte* at, size_t bytes, Place place) override;
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
  Result<void> copy(const CopyRequest& request, Stream stream) override;
  Result<void> copy(std::span<const CopyRequest> requests, Stream stream) override;
  Result<void> fill(std::byte* at, std::byte value, size_t bytes, Stream stream) override;
  Result<void> launch(const Kernel& kernel, LaunchShape shape,
                      std::span<const KernelArgument> arguments, Stream stream) override;

 private:
  Result<void> pass(GpuCall call) const;

  Gpu& inside_;
  const GivingBack giving_back_;
  mutable std::mutex mutex_;
  mutable Fault fault_;
  mutable std::array<uint64_t, kGpuCalls> calls_{};
  mutable uint64_t counted_ = 0;
  mutable uint64_t failures_ = 0;
};

}  // namespace spillway::platform

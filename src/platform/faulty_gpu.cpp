#include "platform/faulty_gpu.h"

#include <utility>

#include "base/result.h"

namespace spillway::platform {
namespace {

constexpr std::array<const char*, kGpuCalls> kNames = {"memory",
                                                       "create",
                                                       "release",
                                                       "reserve",
                                                       "free_addresses",
                                                       "map",
                                                       "allow_access",
                                                       "allow_cpu_access",
                                                       "unmap",
                                                       "register_host",
                                                       "unregister_host",
                                                       "allocate_managed",
                                                       "free_managed",
                                                       "prefer",
                                                       "prefetch",
                                                       "create_stream",
                                                       "destroy_stream",
                                                       "synchronise",
                                                       "create_event",
                                                       "destroy_event",
                                                       "record",
                                                       "ended",
                                                       "wait",
                                                       "wait_in_stream",
                                                       "write_flag",
                                                       "wait_flag",
                                                       "copy",
                                                       "copy_batch",
                                                       "fill",
                                                       "launch"};

}  // namespace

const char* name_of(GpuCall call) {
  return kNames.at(static_cast<size_t>(call));
}

bool gives_back(GpuCall call) {
  switch (call) {
    case GpuCall::kRelease:
    case GpuCall::kFreeAddresses:
    case GpuCall::kUnmap:
    case GpuCall::kUnregisterHost:
    case GpuCall::kFreeManaged:
    case GpuCall::kDestroyStream:
    case GpuCall::kDestroyEvent:
      return true;
    default:
      return false;
  }
}

void FaultyGpu::fail_call(uint64_t n, bool for_good) {
  const std::lock_guard lock(mutex_);
  fault_ = {.only = {}, .left = n, .for_good = for_good};
}

void FaultyGpu::fail_call(GpuCall only, uint64_t n, bool for_good) {
  const std::lock_guard lock(mutex_);
  fault_ = {.only = only, .left = n, .for_good = for_good};
}

FaultyGpu::Fault FaultyGpu::suspend() {
  const std::lock_guard lock(mutex_);
  return std::exchange(fault_, {});
}

void FaultyGpu::resume(const Fault& fault) {
  const std::lock_guard lock(mutex_);
  fault_ = fault;
}

uint64_t FaultyGpu::calls() const {
  const std::lock_guard lock(mutex_);
  return counted_;
}

uint64_t FaultyGpu::calls(GpuCall call) const {
  const std::lock_guard lock(mutex_);
  return calls_.at(static_cast<size_t>(call));
}

uint64_t FaultyGpu::failures() const {
  const std::lock_guard lock(mutex_);
  return failures_;
}

Result<void> FaultyGpu::pass(GpuCall call) const {
  const std::lock_guard lock(mutex_);
  const uint64_t number = ++calls_.at(static_cast<size_t>(call));
  const bool counted = giving_back_ == GivingBack::kCanFail || !gives_back(call);
  if (counted) ++counted_;
  const bool meant = fault_.only ? *fault_.only == call : counted;
  if (!meant || fault_.left == 0 || --fault_.left != 0) return {};
  if (fault_.for_good) fault_.left = 1;  // so that the next one comes here too
  ++failures_;
  return fail(ErrorCode::kMachine, "{} failed (call {} of it), as the test asked for",
              name_of(call), number);
}

Result<GpuMemory> FaultyGpu::memory() const {
  SPILLWAY_TRY(pass(GpuCall::kMemory));
  return inside_.memory();
}

Result<HandleId> FaultyGpu::create(size_t bytes, Place place) {
  SPILLWAY_TRY(pass(GpuCall::kCreate));
  return inside_.create(bytes, place);
}

Result<void> FaultyGpu::release(HandleId handle) {
  SPILLWAY_TRY(pass(GpuCall::kRelease));
  return inside_.release(handle);
}

Result<std::byte*> FaultyGpu::reserve(size_t bytes, size_t alignment) {
  SPILLWAY_TRY(pass(GpuCall::kReserve));
  return inside_.reserve(bytes, alignment);
}

Result<void> FaultyGpu::free_addresses(std::byte* start, size_t bytes) {
  SPILLWAY_TRY(pass(GpuCall::kFreeAddresses));
  return inside_.free_addresses(start, bytes);
}

Result<void> FaultyGpu::map(std::byte* at, size_t bytes, HandleId handle) {
  SPILLWAY_TRY(pass(GpuCall::kMap));
  return inside_.map(at, bytes, handle);
}

Result<void> FaultyGpu::allow_access(std::byte* at, size_t bytes, Place place) {
  SPILLWAY_TRY(pass(GpuCall::kAllowAccess));
  return inside_.allow_access(at, bytes, place);
}

Result<void> FaultyGpu::allow_cpu_access(std::byte* at, size_t bytes) {
  SPILLWAY_TRY(pass(GpuCall::kAllowCpuAccess));
  return inside_.allow_cpu_access(at, bytes);
}

Result<void> FaultyGpu::unmap(std::byte* at, size_t bytes) {
  SPILLWAY_TRY(pass(GpuCall::kUnmap));
  return inside_.unmap(at, bytes);
}

Result<void> FaultyGpu::register_host(std::span<std::byte> range) {
  SPILLWAY_TRY(pass(GpuCall::kRegisterHost));
  return inside_.register_host(range);
}

Result<void> FaultyGpu::unregister_host(std::byte* start) {
  SPILLWAY_TRY(pass(GpuCall::kUnregisterHost));
  return inside_.unregister_host(start);
}

Result<std::byte*> FaultyGpu::allocate_managed(size_t bytes) {
  SPILLWAY_TRY(pass(GpuCall::kAllocateManaged));
  return inside_.allocate_managed(bytes);
}

Result<void> FaultyGpu::free_managed(std::byte* start, size_t bytes) {
  SPILLWAY_TRY(pass(GpuCall::kFreeManaged));
  return inside_.free_managed(start, bytes);
}

Result<void> FaultyGpu::prefer(std::byte* at, size_t bytes, Place place) {
  SPILLWAY_TRY(pass(GpuCall::kPrefer));
  return inside_.prefer(at, bytes, place);
}

Result<void> FaultyGpu::prefetch(std::byte* at, size_t bytes, Place place, Stream stream) {
  SPILLWAY_TRY(pass(GpuCall::kPrefetch));
  return inside_.prefetch(at, bytes, place, stream);
}

Result<Stream> FaultyGpu::create_stream() {
  SPILLWAY_TRY(pass(GpuCall::kCreateStream));
  return inside_.create_stream();
}

Result<void> FaultyGpu::destroy_stream(Stream stream) {
  SPILLWAY_TRY(pass(GpuCall::kDestroyStream));
  return inside_.destroy_stream(stream);
}

Result<void> FaultyGpu::synchronise(Stream stream) {
  SPILLWAY_TRY(pass(GpuCall::kSynchronise));
  return inside_.synchronise(stream);
}

Result<EventId> FaultyGpu::create_event() {
  SPILLWAY_TRY(pass(GpuCall::kCreateEvent));
  return inside_.create_event();
}

Result<void> FaultyGpu::destroy_event(EventId event) {
  SPILLWAY_TRY(pass(GpuCall::kDestroyEvent));
  return inside_.destroy_event(event);
}

Result<void> FaultyGpu::record(EventId event, Stream stream) {
  SPILLWAY_TRY(pass(GpuCall::kRecord));
  return inside_.record(event, stream);
}

Result<bool> FaultyGpu::ended(EventId event) {
  SPILLWAY_TRY(pass(GpuCall::kEnded));
  return inside_.ended(event);
}

Result<void> FaultyGpu::wait(EventId event) {
  SPILLWAY_TRY(pass(GpuCall::kWait));
  return inside_.wait(event);
}

Result<void> FaultyGpu::wait(Stream stream, EventId event) {
  SPILLWAY_TRY(pass(GpuCall::kStreamWait));
  return inside_.wait(stream, event);
}

Result<void> FaultyGpu::write_flag(uint32_t* flag, uint32_t value, Stream stream) {
  SPILLWAY_TRY(pass(GpuCall::kWriteFlag));
  return inside_.write_flag(flag, value, stream);
}

Result<void> FaultyGpu::wait_flag(uint32_t* flag, uint32_t value, Stream stream) {
  SPILLWAY_TRY(pass(GpuCall::kWaitFlag));
  return inside_.wait_flag(flag, value, stream);
}

Result<void> FaultyGpu::copy(const CopyRequest& request, Stream stream) {
  SPILLWAY_TRY(pass(GpuCall::kCopy));
  return inside_.copy(request, stream);
}

Result<void> FaultyGpu::copy(std::span<const CopyRequest> requests, Stream stream) {
  SPILLWAY_TRY(pass(GpuCall::kCopyBatch));
  return inside_.copy(requests, stream);
}

Result<void> FaultyGpu::fill(std::byte* at, std::byte value, size_t bytes, Stream stream) {
  SPILLWAY_TRY(pass(GpuCall::kFill));
  return inside_.fill(at, value, bytes, stream);
}

Result<void> FaultyGpu::launch(const Kernel& kernel, LaunchShape shape,
                               std::span<const KernelArgument> arguments, Stream stream) {
  SPILLWAY_TRY(pass(GpuCall::kLaunch));
  return inside_.launch(kernel, shape, arguments, stream);
}

}  // namespace spillway::platform

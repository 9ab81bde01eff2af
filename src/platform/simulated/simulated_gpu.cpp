#include "platform/simulated/simulated_gpu.h"

#include <atomic>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "base/result.h"
#include "platform/simulated/gpu_memory.h"
#include "platform/simulated/gpu_stream.h"

namespace spillway::platform {
namespace {

class Simulation : public SimulatedGpu {
 public:
  explicit Simulation(const SimulatedGpuOptions& options)
      : options_(options), info_(simulated_gpu_info(options)), memory_(options) {
    streams_[0] = std::make_unique<SimulatedStream>(options.work_delay);
  }

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

  Result<Stream> create_stream() override;
  Result<void> destroy_stream(Stream stream) override;
  Result<void> synchronise(Stream stream) override;
  Result<EventId> create_event() override;
  Result<void> destroy_event(EventId event) override;
  Result<void> record(EventId event, Stream stream) override;
  Result<bool> ended(EventId event) override;
  Result<void> wait(EventId event) override;
  Result<void> wait(Stream stream, EventId event) override;

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

uintptr_t number_of(const void* native) {
  return reinterpret_cast<uintptr_t>(native);
}
void* native_of(uintptr_t number) {
  return reinterpret_cast<void*>(number);
}

Result<SimulatedStream*> Simulation::find(Stream stream) {
  const auto found = streams_.find(number_of(stream.native));
  if (found != streams_.end()) return found->second.get();
  return fail(ErrorCode::kUsage, "there is no stream {}", number_of(stream.native));
}

Result<StreamMark*> Simulation::find(EventId event) {
  const auto found = events_.find(number_of(event.native));
  if (found != events_.end()) return &found->second;
  return fail(ErrorCode::kUsage, "there is no event {}", number_of(event.native));
}

Result<Stream> Simulation::create_stream() {
  const auto lock = enter();
  std::erase_if(retired_, [](const auto& stream) { return stream->ended(); });
  const uintptr_t number = next_id_++;
  streams_[number] = std::make_unique<SimulatedStream>(options_.work_delay);
  return Stream{native_of(number)};
}

Result<void> Simulation::destroy_stream(Stream stream) {
  const auto lock = enter();
  const auto found = streams_.find(number_of(stream.native));
  if (found == streams_.end() || stream.native == nullptr) {
    return fail(ErrorCode::kUsage, "destroy_stream: there is no stream {}, or it is not ours",
                number_of(stream.native));
  }
  found->second->close();
  retired_.push_back(std::move(found->second));
  streams_.erase(found);
  return {};
}

Result<void> Simulation::synchronise(Stream stream) {
  auto lock = enter();
  SPILLWAY_ASSIGN(SimulatedStream * found, find(stream));
  const StreamMark passed = found->mark();
  lock.unlock();
  passed->wait();
  return {};
}

Result<EventId> Simulation::create_event() {
  const auto lock = enter();
  const uintptr_t number = next_id_++;
  events_[number] = nullptr;
  return EventId{native_of(number)};
}

Result<void> Simulation::destroy_event(EventId event) {
  const auto lock = enter();
  SPILLWAY_TRY(find(event));
  events_.erase(number_of(event.native));
  return {};
}

Result<void> Simulation::record(EventId event, Stream stream) {
  const auto lock = enter();
  SPILLWAY_ASSIGN(StreamMark * mark, find(event));
  SPILLWAY_ASSIGN(SimulatedStream * found, find(stream));
  *mark = found->mark();
  return {};
}

Result<bool> Simulation::ended(EventId event) {
  const auto lock = enter();
  SPILLWAY_ASSIGN(const StreamMark* mark, find(event));
  return *mark == nullptr || (*mark)->try_wait();
}

Result<void> Simulation::wait(EventId event) {
  auto lock = enter();
  SPILLWAY_ASSIGN(const StreamMark* found, find(event));
  const StreamMark mark = *found;
  lock.unlock();
  if (mark != nullptr) mark->wait();
  return {};
}

Result<void> Simulation::wait(Stream stream, EventId event) {
  const auto lock = enter();
  SPILLWAY_ASSIGN(const StreamMark* mark, find(event));
  SPILLWAY_ASSIGN(SimulatedStream * found, find(stream));
  // What is recorded now counts, as for cuStreamWaitEvent, not what is recorded later.
  if (*mark != nullptr) found->put([mark = *mark] { mark->wait(); });
  return {};
}

Result<void> Simulation::copy(std::span<const CopyRequest> requests, Stream stream) {
  const auto lock = enter();
  SPILLWAY_ASSIGN(SimulatedStream * found, find(stream));
  for (const CopyRequest& request : requests) {
    SPILLWAY_TRY(memory_.check_reachable(request.from, request.bytes));
    SPILLWAY_TRY(memory_.check_reachable(request.to, request.bytes));
  }
  const double rate = options_.copy_bytes_per_second;
  found->put([rate, requests = std::vector(requests.begin(), requests.end())] {
    for (const auto& [to, from, bytes] : requests) {
      if (bytes == 0) continue;
      if (rate > 0) {
        std::this_thread::sleep_for(
            std::chrono::duration<double>(static_cast<double>(bytes) / rate));
      }
      std::memmove(to, from, bytes);
    }
  });
  return {};
}

Result<void> Simulation::fill(std::byte* at, std::byte value, size_t bytes, Stream stream) {
  const auto lock = enter();
  SPILLWAY_ASSIGN(SimulatedStream * found, find(stream));
  SPILLWAY_TRY(memory_.check_reachable(at, bytes));
  if (bytes == 0) return {};
  found->put([=] { std::memset(at, std::to_integer<int>(value), bytes); });
  return {};
}

Result<void> Simulation::launch(const Kernel& kernel, LaunchShape shape,
                                std::span<const KernelArgument> arguments, Stream stream) {
  const auto lock = enter();
  SPILLWAY_ASSIGN(SimulatedStream * found, find(stream));
  if (kernel.stand_in == nullptr || shape.blocks == 0 || shape.threads == 0 ||
      shape.threads > 1024) {
    return fail(ErrorCode::kUsage, "launch of {}: {} blocks of {} threads, {} CPU stand-in",
                kernel.name != nullptr ? kernel.name : "a kernel without a name", shape.blocks,
                shape.threads, kernel.stand_in != nullptr ? "with a" : "no");
  }
  found->put([stand_in = kernel.stand_in,
              copied = std::vector(arguments.begin(), arguments.end())] { stand_in(copied); });
  return {};
}

}  // namespace

std::unique_ptr<SimulatedGpu> make_simulated_gpu(const SimulatedGpuOptions& options) {
  return std::make_unique<Simulation>(options);
}

}  // namespace spillway::platform

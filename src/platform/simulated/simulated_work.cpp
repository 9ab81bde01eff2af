// Streams, events, and what a simulated GPU puts into streams.
#include <atomic>
#include <thread>
#include <utility>

#include "base/result.h"
#include "platform/simulated/simulation.h"

namespace spillway::platform {
namespace {

uintptr_t number_of(const void* native) {
  return reinterpret_cast<uintptr_t>(native);
}
void* native_of(uintptr_t number) {
  return reinterpret_cast<void*>(number);
}

}  // namespace

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

Result<void> Simulation::write_flag(uint32_t* flag, uint32_t value, Stream stream) {
  const auto lock = enter();
  SPILLWAY_ASSIGN(SimulatedStream * found, find(stream));
  SPILLWAY_TRY(memory_.check_flag(flag));
  found->put([flag, value] { std::atomic_ref(*flag).store(value, std::memory_order_release); });
  return {};
}

Result<void> Simulation::wait_flag(uint32_t* flag, uint32_t value, Stream stream) {
  const auto lock = enter();
  SPILLWAY_ASSIGN(SimulatedStream * found, find(stream));
  SPILLWAY_TRY(memory_.check_flag(flag));
  found->put([flag, value] {
    const std::atomic_ref now(*flag);
    while (now.load(std::memory_order_acquire) - value >= 1U << 31) std::this_thread::yield();
  });
  return {};
}

Result<void> Simulation::copy(std::span<const CopyRequest> requests, Stream stream) {
  const auto lock = enter();
  SPILLWAY_ASSIGN(SimulatedStream * found, find(stream));
  for (const CopyRequest& request : requests) {
    SPILLWAY_TRY(memory_.check_reachable(request.from, request.bytes));
    SPILLWAY_TRY(memory_.check_reachable(request.to, request.bytes));
  }
  std::vector<SimulatedGpuMemory::Work> works;
  for (const CopyRequest& request : requests) memory_.add_work(request, works);
  found->put([works = std::move(works)] {
    for (const auto& work : works) work();
  });
  return {};
}

// The books say at once where the pages are. Nothing touches them, in this stream's time: so a
// launch that a move has not waited for is no race here, as it is none on a GPU.
Result<void> Simulation::prefetch(std::byte* at, size_t bytes, Place place, Stream stream) {
  const auto lock = enter();
  SPILLWAY_ASSIGN(SimulatedStream * found, find(stream));
  SPILLWAY_TRY(memory_.prefetch(at, bytes, place));
  found->put([] {});
  return {};
}

Result<void> Simulation::fill(std::byte* at, std::byte value, size_t bytes, Stream stream) {
  const auto lock = enter();
  SPILLWAY_ASSIGN(SimulatedStream * found, find(stream));
  SPILLWAY_TRY(memory_.check_reachable(at, bytes));
  if (bytes == 0) return {};
  found->put(memory_.fill_work(at, value, bytes));
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

}  // namespace spillway::platform

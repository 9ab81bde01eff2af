#include "spillway/memory/replay.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <unordered_map>

namespace spillway::memory {
namespace {

constexpr uint32_t kMostReplayThreads = 256;  // a log may name any number; beyond it they share

// Numbers things in the order in which they appear.
class Numbers {
 public:
  uint32_t of(uint64_t thing) {
    return numbers_.try_emplace(thing, static_cast<uint32_t>(numbers_.size())).first->second;
  }
  size_t count() const { return numbers_.size(); }

 private:
  std::unordered_map<uint64_t, uint32_t> numbers_;
};

}  // namespace

Replay::Replay(std::span<const LogEvent> events) {
  Numbers threads;
  Numbers streams;
  std::unordered_map<uint64_t, size_t> live;  // pointer → index in steps_
  for (const LogEvent& event : events) {
    if (event.action == LogAction::kFailure) continue;
    Step step{.allocates = event.action == LogAction::kAllocate,
              .thread = threads.of(event.thread),
              .stream = streams.of(event.stream),
              .bytes = event.bytes};
    if (step.stream == streams_.size()) streams_.push_back(event.stream);
    if (step.allocates) {
      step.place = places_++;
      if (event.pointer != 0) live[event.pointer] = steps_.size();
    } else if (const auto found = live.find(event.pointer); found != live.end()) {
      step.place = steps_[found->second].place;
      step.bytes = steps_[found->second].bytes;  // not what a damaged log says
      live.erase(found);
    } else {
      unknown_frees_ += event.pointer != 0;  // a null pointer frees 0 bytes
      continue;
    }
    steps_.push_back(step);
  }
  threads_ = static_cast<uint32_t>(threads.count());
}

// One run: what is allocated by now. One thread at a time.
class Replay::Run {
 public:
  Run(const Replay& replay, AnyResource resource, const ReplayOptions& options)
      : replay_(replay), resource_(resource), held_(replay.places_) {
    for (uint64_t logged : replay.streams_) {
      streams_.push_back(options.stream ? options.stream(logged) : Stream());
    }
  }

  void step(const Step& step) {
    Held& held = held_[step.place];
    if (step.allocates) {
      const auto pointer = resource_.allocate(streams_[step.stream], step.bytes);
      held = {.pointer = pointer.value_or(nullptr), .bytes = step.bytes, .live = bool(pointer)};
      ++(pointer ? result_.allocations : result_.failures);
    } else if (held.live) {
      resource_.deallocate(streams_[step.stream], held.pointer, held.bytes);
      held.live = false;
      ++result_.frees;
    }
  }

  // Threads take turns; whose turn it is follows from the number of steps that were done.
  void run_thread(uint32_t thread) {
    const std::vector<Step>& steps = replay_.steps_;
    const uint32_t threads = wait_for_team();
    for (size_t i = 0; i < steps.size(); ++i) {
      if (steps[i].thread % threads != thread) continue;
      std::unique_lock lock(mutex_);
      turn_.wait(lock, [&] { return done_ == i; });
      step(steps[i]);
      ++done_;
      turn_.notify_all();
    }
  }

  // How many threads there are: fewer than wanted where the system gives no more.
  void set_team(uint32_t threads) {
    {
      const std::lock_guard lock(mutex_);
      team_ = threads;
    }
    turn_.notify_all();
  }

  uint32_t wait_for_team() {
    std::unique_lock lock(mutex_);
    turn_.wait(lock, [this] { return team_ != 0; });
    return team_;
  }

  ReplayResult finish() {
    for (const Step& step : replay_.steps_) {
      if (!step.allocates) continue;
      const Held& held = held_[step.place];
      if (!held.live) continue;
      resource_.deallocate(streams_[step.stream], held.pointer, held.bytes);
      // 0 bytes are no allocation that could be left: RMM logs them without a pointer.
      result_.left += held.pointer != nullptr;
    }
    result_.unknown_frees = replay_.unknown_frees_;
    return result_;
  }

 private:
  struct Held {
    void* pointer = nullptr;
    size_t bytes = 0;
    bool live = false;
  };
  const Replay& replay_;
  AnyResource resource_;
  std::vector<Held> held_;
  std::vector<Stream> streams_;
  ReplayResult result_;
  std::mutex mutex_;
  std::condition_variable turn_;
  size_t done_ = 0;
  uint32_t team_ = 0;
};

ReplayResult Replay::run(AnyResource resource, const ReplayOptions& options) const {
  Run run(*this, resource, options);
  const double start = options.seconds ? options.seconds() : 0;
  if (options.threads == ReplayThreads::kOne) {
    for (const Step& step : steps_) run.step(step);
  } else {
    const uint32_t count = std::min(threads_, kMostReplayThreads);
    std::vector<std::jthread> threads;
    try {
      for (uint32_t i = 1; i < count; ++i) {
        threads.emplace_back([&run, i] { run.run_thread(i); });
      }
    } catch (const std::system_error&) {
      // Those that there are take the steps of all.
    }
    run.set_team(static_cast<uint32_t>(threads.size()) + 1);
    run.run_thread(0);
  }
  const double seconds = options.seconds ? options.seconds() - start : 0;
  ReplayResult result = run.finish();
  result.seconds = seconds;
  return result;
}

}  // namespace spillway::memory

// Reads the logs of LogAdaptor and of RMM's logging_resource_adaptor, and does to a Resource what
// they tell: a benchmark, and a way to carry a user's problem home. Thread-compatible.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "spillway/memory/resource.h"

namespace spillway::memory {

enum class LogAction { kAllocate, kFailure, kFree };

struct LogEvent {
  uint64_t thread = 0;
  LogAction action = LogAction::kAllocate;
  uint64_t pointer = 0;  // as logged; 0: none
  uint64_t bytes = 0;
  uint64_t stream = 0;  // as logged
};

// The rows of a log in their order; of the times only the place is read. kBadFile, with the line's
// number: not such a log.
Result<std::vector<LogEvent>> parse_log(std::string_view text);

enum class ReplayThreads {
  kOne,   // nothing but the resource is measured
  kEach,  // a thread for each that was logged, taking turns in the log's order, as RMM's replay has
};

struct ReplayOptions {
  ReplayThreads threads = ReplayThreads::kOne;
  // The stream that stands for a logged one; without it all are the default stream.
  std::function<Stream(uint64_t logged)> stream = {};
  std::function<double()> seconds = {};  // a clock; without it no time is measured
};

struct ReplayResult {
  uint64_t allocations = 0;    // that succeeded
  uint64_t failures = 0;       // that failed here, whatever they did when they were logged
  uint64_t frees = 0;          // of what was allocated here
  uint64_t unknown_frees = 0;  // of pointers that the log did not allocate before; skipped
  uint64_t left = 0;           // allocations that the log did not free: freed after the measurement
  double seconds = 0;
};

// A log made ready to be run: its pointers are places in a table already.
class Replay {
 public:
  explicit Replay(std::span<const LogEvent> events);
  // Allocates and frees what the log did. Rows that tell of failures are left out.
  ReplayResult run(AnyResource resource, const ReplayOptions& options) const;
  uint64_t events() const { return steps_.size(); }

 private:
  class Run;
  struct Step {
    bool allocates = false;
    uint32_t thread = 0;  // threads and streams are numbered from 0
    uint32_t stream = 0;
    size_t place = 0;  // of the allocation
    size_t bytes = 0;
  };
  std::vector<Step> steps_;
  std::vector<uint64_t> streams_;  // as logged
  uint32_t threads_ = 0;
  size_t places_ = 0;
  uint64_t unknown_frees_ = 0;
};

}  // namespace spillway::memory

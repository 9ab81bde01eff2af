// A machine that exists only in numbers: sizes and rates of any machine, files in memory, a virtual
// clock that moves when somebody waits, and faults on the n-th operation. Thread-safe: one lock.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "platform/platform.h"

namespace spillway::platform {

struct SimulatedMachine {
  uint64_t host_bytes = 16ULL << 30;
  double disk_bytes_per_second = 2e9;  // shared by all reads in flight
  double disk_latency_seconds = 100e-6;
  size_t offset_alignment = 512;
  size_t memory_alignment = 512;
  size_t page_bytes = 4096;  // a multiple of the real machine's
  unsigned cores = 2;
  bool refuse_direct = false;  // files then say direct = false and alignments of 1
};

// Operations that can be made to fail. kRead is File::read and the end of each read of a queue,
// whose completion then carries the error; kWait is a queue that failed as a whole.
// kReplace: a FileReplacement is made, written or committed.
enum class Operation { kReserve, kCommit, kDecommit, kOpen, kRead, kSubmit, kWait, kMap, kReplace };

class SimulatedPlatform : public Platform {
 public:
  ~SimulatedPlatform() override = default;
  // Adds or replaces a file. Open Files see the new content: shorter content is a truncation.
  virtual void put_file(const std::string& path, std::vector<std::byte> content) = 0;
  // The n-th call from now (1: the next) of `operation` fails with kMachine, once or from then on
  // for good. Replaces what was set for that operation; n = 0 sets nothing.
  virtual void fail_operation(Operation operation, uint64_t n, bool for_good) = 0;
  // Calls of `operation` so far.
  virtual uint64_t operations(Operation operation) const = 0;
  // Lets virtual time pass, as computing does.
  virtual void spend(double seconds) = 0;
  virtual uint64_t committed_bytes() const = 0;
};

std::unique_ptr<SimulatedPlatform> make_simulated_platform(const SimulatedMachine& machine);

}  // namespace spillway::platform

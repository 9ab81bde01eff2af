// What all parts of a simulated machine share. Owned by its platform; the lock is held by every
// public call of every part.
#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"
#include "platform/simulated/range_set.h"
#include "platform/simulated/simulated_platform.h"
#include "platform/simulated/virtual_disk.h"

namespace spillway::platform {

inline constexpr size_t kOperations = static_cast<size_t>(Operation::kReplace) + 1;

// Counts operations and fails those that a test has chosen.
class Faults {
 public:
  void set(Operation operation, uint64_t n, bool for_good);
  // One call of `operation`: kMachine if it is to fail.
  Result<void> pass(Operation operation);
  uint64_t operations(Operation operation) const { return at(operation).calls; }

 private:
  struct Fault {
    uint64_t calls = 0;
    uint64_t fails_at = 0;  // in calls; 0: never
    bool for_good = false;
  };
  const Fault& at(Operation operation) const { return faults_[static_cast<size_t>(operation)]; }

  std::array<Fault, kOperations> faults_;
};

struct StoredFile {
  // Shared with the mappings, which keep what they mapped when the content is replaced.
  std::shared_ptr<const std::vector<std::byte>> content;
  RangeSet cached;  // bytes, in whole pages or up to the end
};

struct MachineState {
  explicit MachineState(const SimulatedMachine& description)
      : machine(description),
        disk(description.disk_bytes_per_second, description.disk_latency_seconds) {}

  const SimulatedMachine machine;
  mutable std::mutex mutex;
  VirtualDisk disk;
  Faults faults;
  std::map<std::string, StoredFile> files;  // never erased: open Files point into it
  uint64_t committed_bytes = 0;
  uint64_t peak_committed_bytes = 0;

  uint64_t cached_bytes() const;
  // The page cache gives way to whoever commits memory.
  Result<void> charge(uint64_t bytes);
  // A page enters the page cache only where the machine has memory for it.
  void cache(StoredFile& file, uint64_t begin, uint64_t end);
};

Result<std::unique_ptr<AddressRange>> reserve_simulated(MachineState& state, size_t bytes);
Result<std::unique_ptr<File>> open_simulated(MachineState& state, const std::string& path,
                                             OpenOptions options);
Result<std::unique_ptr<FileReplacement>> replace_simulated(MachineState& state,
                                                           const std::string& path);

}  // namespace spillway::platform

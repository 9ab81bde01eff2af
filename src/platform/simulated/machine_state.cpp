#include "platform/simulated/machine_state.h"

#include <algorithm>

#include "base/units.h"

namespace spillway::platform {
namespace {

constexpr std::array<std::string_view, kOperations> kOperationNames = {
    "reserve", "commit", "decommit", "open", "read", "submit", "wait", "map", "replace"};

}  // namespace

void Faults::set(Operation operation, uint64_t n, bool for_good) {
  Fault& fault = faults_[static_cast<size_t>(operation)];
  fault.fails_at = n == 0 ? 0 : fault.calls + n;
  fault.for_good = for_good;
}

Result<void> Faults::pass(Operation operation) {
  Fault& fault = faults_[static_cast<size_t>(operation)];
  ++fault.calls;
  if (fault.fails_at == 0 || fault.calls < fault.fails_at) return {};
  if (fault.calls > fault.fails_at && !fault.for_good) return {};
  return fail(ErrorCode::kMachine, "simulated fault: {} number {} failed",
              kOperationNames[static_cast<size_t>(operation)], fault.calls);
}

uint64_t MachineState::cached_bytes() const {
  uint64_t bytes = 0;
  for (const auto& [path, file] : files) bytes += file.cached.size();
  return bytes;
}

Result<void> MachineState::charge(uint64_t bytes) {
  const uint64_t left = machine.host_bytes - committed_bytes;
  if (bytes > left) {
    return fail(ErrorCode::kMachine,
                "the simulated machine has no more host memory: {} asked for, {} of {} left",
                format_size(bytes), format_size(left), format_size(machine.host_bytes));
  }
  committed_bytes += bytes;
  peak_committed_bytes = std::max(peak_committed_bytes, committed_bytes);
  if (cached_bytes() > machine.host_bytes - committed_bytes) {
    for (auto& [path, file] : files) file.cached = RangeSet();
  }
  return {};
}

void MachineState::cache(StoredFile& file, uint64_t begin, uint64_t end) {
  const uint64_t size = file.content->size();
  begin = round_down(begin, machine.page_bytes);
  end = std::min(size, round_up(end, machine.page_bytes));
  const uint64_t free_bytes = machine.host_bytes - committed_bytes - cached_bytes();
  if (begin < end && end - begin <= free_bytes) file.cached.insert(begin, end);
}

}  // namespace spillway::platform

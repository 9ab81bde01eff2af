#include "platform/simulated/simulated_platform.h"

#include <unistd.h>

#include "base/check.h"
#include "platform/simulated/machine_state.h"

namespace spillway::platform {
namespace {

class VirtualClock : public Clock {
 public:
  explicit VirtualClock(const MachineState& state) : state_(state) {}
  double seconds() const override {
    const std::lock_guard lock(state_.mutex);
    return state_.disk.now();
  }

 private:
  const MachineState& state_;
};

class VirtualMachine : public SimulatedPlatform {
 public:
  explicit VirtualMachine(const SimulatedMachine& machine) : state_(machine), clock_(state_) {}

  std::string_view name() const override { return "simulated"; }
  const Clock& clock() const override { return clock_; }
  size_t page_bytes() const override { return state_.machine.page_bytes; }
  Result<std::unique_ptr<AddressRange>> reserve(size_t bytes) override {
    return reserve_simulated(state_, bytes);
  }
  Result<std::unique_ptr<File>> open(const std::string& path, OpenOptions options) override {
    return open_simulated(state_, path, options);
  }
  Result<std::unique_ptr<FileReplacement>> replace(const std::string& path) override {
    return replace_simulated(state_, path);
  }
  Result<HostMemory> host_memory() const override {
    const std::lock_guard lock(state_.mutex);
    return HostMemory{.total_bytes = state_.machine.host_bytes,
                      .available_bytes = state_.machine.host_bytes - state_.committed_bytes,
                      .process_resident_bytes = state_.committed_bytes,
                      .process_peak_resident_bytes = state_.peak_committed_bytes};
  }
  // One node, as large as the machine, that allows everything.
  HostFacts host_facts() const override {
    HostFacts facts{.page_bytes = state_.machine.page_bytes};
    NumaNode node{.total_bytes = state_.machine.host_bytes};
    for (unsigned cpu = 0; cpu < state_.machine.cores; ++cpu) node.cpus.push_back(cpu);
    const std::lock_guard lock(state_.mutex);
    node.available_bytes = state_.machine.host_bytes - state_.committed_bytes;
    facts.allowed_cpus = node.cpus;
    facts.allowed_nodes = {node.id};
    facts.nodes = {std::move(node)};
    return facts;
  }
  Processor processor() const override { return {"simulated processor", state_.machine.cores}; }
  std::string machine_id() const override {
    const SimulatedMachine& machine = state_.machine;
    return fmt::format("simulated-{}-{}-{}-{}", machine.cores, machine.host_bytes,
                       machine.disk_bytes_per_second, machine.disk_latency_seconds);
  }

  void put_file(const std::string& path, std::vector<std::byte> content) override {
    const std::lock_guard lock(state_.mutex);
    StoredFile& file = state_.files[path];
    file.content = std::make_shared<const std::vector<std::byte>>(std::move(content));
    file.cached = RangeSet();
  }
  void fail_operation(Operation operation, uint64_t n, bool for_good) override {
    const std::lock_guard lock(state_.mutex);
    state_.faults.set(operation, n, for_good);
  }
  uint64_t operations(Operation operation) const override {
    const std::lock_guard lock(state_.mutex);
    return state_.faults.operations(operation);
  }
  void spend(double seconds) override {
    SPILLWAY_CHECK(seconds >= 0);
    const std::lock_guard lock(state_.mutex);
    state_.disk.advance(seconds);
  }
  uint64_t committed_bytes() const override {
    const std::lock_guard lock(state_.mutex);
    return state_.committed_bytes;
  }

 private:
  MachineState state_;
  VirtualClock clock_;
};

}  // namespace

std::unique_ptr<SimulatedPlatform> make_simulated_platform(const SimulatedMachine& machine) {
  SPILLWAY_CHECK(machine.page_bytes > 0 &&
                 machine.page_bytes % static_cast<size_t>(sysconf(_SC_PAGESIZE)) == 0);
  SPILLWAY_CHECK(machine.disk_bytes_per_second > 0 && machine.disk_latency_seconds >= 0);
  return std::make_unique<VirtualMachine>(machine);
}

}  // namespace spillway::platform

// Host memory of a simulated machine: real addresses, a capacity in numbers.
#include "base/check.h"
#include "platform/linux/address_range.h"
#include "platform/simulated/machine_state.h"

namespace spillway::platform {
namespace {

class SimulatedAddresses : public AddressRange {
 public:
  SimulatedAddresses(MachineState& state, std::unique_ptr<AddressRange> addresses)
      : state_(state), addresses_(std::move(addresses)) {}
  ~SimulatedAddresses() override {
    const std::lock_guard lock(state_.mutex);
    state_.committed_bytes -= committed_.size();
  }
  SimulatedAddresses(const SimulatedAddresses&) = delete;
  SimulatedAddresses& operator=(const SimulatedAddresses&) = delete;

  std::span<std::byte> bytes() const override { return addresses_->bytes(); }

  Result<void> commit(size_t offset, size_t size) override {
    const std::lock_guard lock(state_.mutex);
    SPILLWAY_TRY(state_.faults.pass(Operation::kCommit));
    SPILLWAY_CHECK(size <= bytes().size() && offset <= bytes().size() - size);
    const uint64_t added = size - committed_.count(offset, offset + size);
    SPILLWAY_TRY(state_.charge(added));
    if (auto done = addresses_->commit(offset, size); !done) {
      state_.committed_bytes -= added;
      return done;
    }
    committed_.insert(offset, offset + size);
    return {};
  }

  void prefer_huge_pages() override { addresses_->prefer_huge_pages(); }

  Result<void> decommit(size_t offset, size_t size) override {
    const std::lock_guard lock(state_.mutex);
    SPILLWAY_TRY(state_.faults.pass(Operation::kDecommit));
    SPILLWAY_TRY(addresses_->decommit(offset, size));
    state_.committed_bytes -= committed_.erase(offset, offset + size);
    return {};
  }

 private:
  MachineState& state_;
  std::unique_ptr<AddressRange> addresses_;
  RangeSet committed_;
};

}  // namespace

Result<std::unique_ptr<AddressRange>> reserve_simulated(MachineState& state, size_t bytes) {
  const std::lock_guard lock(state.mutex);
  SPILLWAY_TRY(state.faults.pass(Operation::kReserve));
  SPILLWAY_ASSIGN(auto addresses, reserve_addresses(bytes, state.machine.page_bytes));
  return std::make_unique<SimulatedAddresses>(state, std::move(addresses));
}

}  // namespace spillway::platform

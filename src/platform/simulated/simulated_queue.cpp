#include <algorithm>
#include <limits>
#include <vector>

#include "base/check.h"
#include "platform/read_request.h"
#include "platform/simulated/simulated_file.h"

namespace spillway::platform {
namespace {

// What a target holds while its read is in flight: whoever uses the bytes too early computes
// nonsense, here as on a real disk, and not only now and then.
constexpr std::byte kNotReadYet{0xA5};

class SimulatedQueue : public ReadQueue {
 public:
  SimulatedQueue(MachineState& state, const SimulatedFile& file, unsigned depth)
      : state_(state), file_(file), depth_(depth) {}
  ~SimulatedQueue() override {
    const std::lock_guard lock(state_.mutex);
    while (!reads_.empty()) {
      const auto read = next_finished();
      state_.disk.forget(read->transfer);
      reads_.erase(read);
    }
  }
  SimulatedQueue(const SimulatedQueue&) = delete;
  SimulatedQueue& operator=(const SimulatedQueue&) = delete;

  unsigned depth() const override { return depth_; }
  unsigned in_flight() const override { return static_cast<unsigned>(reads_.size()); }
  std::string_view method() const override { return "simulated"; }

  Result<void> submit(const ReadRequest& request) override {
    SPILLWAY_CHECK(in_flight() < depth_);
    check_request(file_.info(), request);
    const std::lock_guard lock(state_.mutex);
    SPILLWAY_TRY(state_.faults.pass(Operation::kSubmit));
    std::fill(request.target.begin(), request.target.end(), kNotReadYet);
    reads_.push_back({request, file_.start_transfer(request.offset, request.target.size())});
    return {};
  }

  Result<ReadCompletion> wait() override {
    SPILLWAY_CHECK(!reads_.empty());
    const std::lock_guard lock(state_.mutex);
    SPILLWAY_TRY(state_.faults.pass(Operation::kWait));
    return take(next_finished());
  }

  Result<std::optional<ReadCompletion>> poll() override {
    const std::lock_guard lock(state_.mutex);
    const auto read = first_to_finish();
    if (read == reads_.end() || !state_.disk.finished_at(read->transfer)) return std::nullopt;
    return take(read);
  }

 private:
  struct Read {
    ReadRequest request;
    uint64_t transfer;
  };

  ReadCompletion take(std::vector<Read>::iterator read) {
    const ReadRequest request = read->request;
    state_.disk.forget(read->transfer);
    reads_.erase(read);
    if (auto fault = state_.faults.pass(Operation::kRead); !fault) {
      return {request.id, fail_within(file_.info().path, std::move(fault).error())};
    }
    return {request.id, file_.take(request.offset, request.target)};
  }

  // Of those that have finished the first, of two at once the one submitted first; any other if
  // none has.
  std::vector<Read>::iterator first_to_finish() {
    const auto end_of = [this](const Read& read) {
      return state_.disk.finished_at(read.transfer)
          .value_or(std::numeric_limits<double>::infinity());
    };
    return std::min_element(reads_.begin(), reads_.end(),
                            [&](const Read& a, const Read& b) { return end_of(a) < end_of(b); });
  }

  std::vector<Read>::iterator next_finished() {
    for (;;) {
      const auto first = first_to_finish();
      if (state_.disk.finished_at(first->transfer)) return first;
      state_.disk.step();
    }
  }

  MachineState& state_;
  const SimulatedFile& file_;
  const unsigned depth_;
  std::vector<Read> reads_;  // in order of submission
};

}  // namespace

std::unique_ptr<ReadQueue> make_simulated_queue(MachineState& state, const SimulatedFile& file,
                                                unsigned depth) {
  SPILLWAY_CHECK(depth >= 1);
  return std::make_unique<SimulatedQueue>(state, file, depth);
}

}  // namespace spillway::platform

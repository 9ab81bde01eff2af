// What the machine gives a loaded model, measured between the rounds of a bench: rates for the
// run's bound, and for what the plan predicts. One thread.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/disk_bound.h"
#include "cli/dram_turns.h"
#include "cli/session.h"
#include "engine/engine.h"
#include "placement/plan.h"

namespace spillway::cli {

// Memory that a measurement may hold beside the run.
Result<uint64_t> measuring_bytes(const platform::Platform& platform);

class BenchRates {
 public:
  // All of them outlive this. `position`: where a token stands in the middle of a round. `turns`
  // knows DRAM's rate where the rounds take turns with reading it; may be null.
  BenchRates(Session& session, const engine::Engine& engine, machine::Machine known,
             size_t position, const DramTurns* turns);

  // Before and after each round, with buffers of their own: a measurement is not the run. A disk
  // that others share is another one seconds later, so that the plan's own reads are timed last
  // before the round and first after it.
  Result<void> before_round();
  Result<void> after_round();

  // What a pass should take at best: by the medians of all rounds, the disk's of sweeps over the
  // file by block and depth.
  double bound_tokens_per_second() const;
  // What a round should have given: by its own rates, the disk's as the plan's reads come when
  // nobody computes.
  double predicted_tokens_per_second(size_t round) const;
  double dram_rate() const;

  bool reads_disk() const { return disk_.has_value(); }
  nlohmann::ordered_json disk_json() const;
  // Of computing, as the prediction takes them.
  nlohmann::ordered_json compute_json() const;
  std::string disk_text() const;

 private:
  size_t kernel_buffer(uint64_t spare) const;
  const model::Weight& largest_matrix() const;
  Result<double> ring_rate();
  Result<void> measure_kernels(uint64_t spare);
  placement::Workload workload() const;

  Session& session_;
  const engine::Engine& engine_;
  const machine::Machine known_;
  const size_t position_;
  const DramTurns* const turns_;
  std::optional<DiskBound> disk_;
  // Of each round:
  std::vector<double> ring_;  // the mean of before and after
  std::vector<double> dram_;  // none with turns
  std::vector<double> op_seconds_;
  std::vector<double> pass_seconds_;
  std::map<std::string, std::vector<double>> kernels_;  // by dtype
};

}  // namespace spillway::cli

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
#include "cli/session.h"
#include "engine/engine.h"
#include "placement/plan.h"

namespace spillway::cli {

class BenchRates {
 public:
  // All of them outlive this. `position`: where a token stands in the middle of a round.
  BenchRates(Session& session, const engine::Engine& engine, machine::Machine known,
             size_t position);

  // One measurement of everything, with buffers of its own: it is not the run.
  Result<void> measure();

  // By the medians so far. Its bound is of sweeps over the file by block and depth; tokens a second
  // are predicted with the rate at which the plan's own reads come when nobody computes.
  placement::Prediction prediction() const;
  double dram_rate() const;

  bool reads_disk() const { return disk_.has_value(); }
  nlohmann::ordered_json disk_json() const;
  // Of computing, as the prediction takes them.
  nlohmann::ordered_json compute_json() const;
  std::string disk_text() const;

 private:
  Result<uint64_t> spare_bytes() const;
  size_t kernel_buffer(uint64_t spare) const;
  const model::Weight& largest_matrix() const;
  Result<void> measure_disk();
  Result<void> measure_kernels(uint64_t spare);
  machine::Machine medians() const;

  Session& session_;
  const engine::Engine& engine_;
  const machine::Machine known_;
  const size_t position_;
  std::optional<DiskBound> disk_;
  std::vector<double> ring_;
  std::vector<double> dram_;
  std::vector<double> op_seconds_;
  std::vector<double> pass_seconds_;
  std::map<std::string, std::vector<double>> kernels_;  // by dtype
};

}  // namespace spillway::cli

#include "cli/bench_rates.h"

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/statistics.h"
#include "base/units.h"
#include "cli/bench_disk.h"
#include "engine/measure_kernels.h"
#include "engine/measure_pass.h"
#include "machine/disk_load.h"
#include "machine/measure.h"
#include "placement/predict.h"

namespace spillway::cli {
namespace {

constexpr uint64_t kMostRateBuffer = kGiB;

}  // namespace

BenchRates::BenchRates(Session& session, const engine::Engine& engine, machine::Machine known,
                       size_t position, const DramTurns* turns)
    : session_(session),
      engine_(engine),
      known_(std::move(known)),
      position_(position),
      turns_(turns) {
  const auto& staging = engine_.plan().staging;
  if (staging.slots > 0)
    disk_.emplace(*session_.platform, *session_.model.file, staging.slots * staging.slot_bytes);
}

Result<void> BenchRates::before_round() {
  memory::Budget budget(memory::Tier::kHost, UINT64_MAX);
  SPILLWAY_ASSIGN(const uint64_t spare, measuring_bytes(*session_.platform));
  if (turns_ == nullptr) {
    SPILLWAY_ASSIGN(const double dram,
                    machine::measure_dram(*session_.platform, budget, *session_.pool,
                                          round_up(spare, session_.platform->page_bytes())));
    dram_.push_back(dram);
  }
  SPILLWAY_TRY(measure_kernels(spare));
  SPILLWAY_ASSIGN(const double pass, engine::measure_pass(session_.context(budget), session_.model,
                                                          session_.settings.kv, position_));
  pass_seconds_.push_back(pass);
  if (!disk_) return {};
  SPILLWAY_TRY(disk_->sweep());
  SPILLWAY_ASSIGN(const double ring, ring_rate());
  ring_.push_back(ring);
  return {};
}

Result<void> BenchRates::after_round() {
  if (!disk_) return {};
  SPILLWAY_ASSIGN(const double ring, ring_rate());
  ring_.back() = (ring_.back() + ring) / 2;
  return {};
}

Result<double> BenchRates::ring_rate() {
  memory::Budget budget(memory::Tier::kHost, UINT64_MAX);
  return machine::sweep_ring(*session_.platform, budget, *session_.model.file, engine_.plan().cycle,
                             engine_.plan().staging);
}

Result<uint64_t> measuring_bytes(const platform::Platform& platform) {
  SPILLWAY_ASSIGN(const platform::HostMemory memory, platform.host_memory());
  return std::min(kMostRateBuffer, memory.free_bytes() / 2);
}

// As many bytes as a token touches: caches then hold as much of the buffer as of the weights.
size_t BenchRates::kernel_buffer(uint64_t spare) const {
  return round_up(std::min(spare, engine_.plan().weight_bytes), session_.platform->page_bytes());
}

// Most of a token's bytes lie in matrices of this shape; the output's is not a layer's.
const model::Weight& BenchRates::largest_matrix() const {
  const auto& weights = session_.model.transformer.weights();
  return *std::max_element(weights.begin(), weights.end() - 1, [](const auto& a, const auto& b) {
    return a.size_bytes() < b.size_bytes();
  });
}

// Beside reads if the plan streams: what a device writes drives weights out of the caches.
Result<void> BenchRates::measure_kernels(uint64_t spare) {
  memory::Budget budget(memory::Tier::kHost, UINT64_MAX);
  std::unique_ptr<machine::DiskLoad> load;
  if (disk_) {
    const auto& staging = engine_.plan().staging;
    SPILLWAY_ASSIGN(load, machine::DiskLoad::create(
                              *session_.platform, budget, *session_.model.file,
                              {.block_bytes = staging.slot_bytes, .depth = staging.depth}));
  }
  const model::Weight& matrix = largest_matrix();
  machine::Machine found;
  SPILLWAY_TRY(engine::measure_kernels(
      session_.context(budget),
      {.dtypes = session_.weight_dtypes(),
       .threads = session_.settings.threads,
       .columns = matrix.columns,
       .rows = matrix.rows,
       .buffer_bytes = kernel_buffer(spare),
       .all_stay = engine_.plan().cycle.empty(),
       .beside = [&load]() -> Result<void> { return load ? load->step() : Result<void>(); }},
      found));
  for (const machine::KernelRate& k : found.kernels)
    kernels_[k.dtype].push_back(k.bytes_per_second);
  op_seconds_.push_back(found.seconds_per_op);
  return {};
}

placement::Workload BenchRates::workload() const {
  return engine::make_workload(session_.model, *session_.ops, session_.settings, engine_.shape());
}

double BenchRates::bound_tokens_per_second() const {
  machine::Machine machine = known_;
  machine.dram_bytes_per_second = dram_rate();
  if (disk_) machine.disks[std::to_string(session_.model.file->info().device)] = disk_->medians();
  return placement::predict(workload(), machine, engine_.plan()).bound_tokens_per_second;
}

double BenchRates::predicted_tokens_per_second(size_t round) const {
  machine::Machine machine = known_;
  machine.dram_bytes_per_second = turns_ == nullptr ? dram_[round] : dram_rate();
  machine.seconds_per_op = op_seconds_[round];
  for (const auto& [dtype, rates] : kernels_)
    machine.set_kernel_rate({dtype, session_.settings.threads, rates[round]});
  placement::Workload workload = this->workload();
  workload.seconds_beside_products = pass_seconds_[round];
  if (disk_) {
    // The sweeps' table, so much of it as the plan's reads got.
    machine::Disk& disk = machine.disks[std::to_string(session_.model.file->info().device)];
    disk = disk_->medians();
    const placement::Prediction swept = placement::predict(workload, machine, engine_.plan());
    for (machine::DiskRate& rate : disk.rates)
      rate.bytes_per_second *= ring_[round] / swept.disk_bytes_per_second;
  }
  return placement::predict(workload, machine, engine_.plan()).tokens_per_second;
}

double BenchRates::dram_rate() const {
  return turns_ == nullptr ? median(dram_) : turns_->bytes_per_second();
}

std::string BenchRates::disk_text() const {
  return fmt::format("{}\nthe plan's reads without computing: {:.2f} GB/s", describe(*disk_),
                     median(ring_) / 1e9);
}

nlohmann::ordered_json BenchRates::compute_json() const {
  nlohmann::ordered_json json = {{"seconds_per_op", median(op_seconds_)},
                                 {"seconds_beside_products", median(pass_seconds_)}};
  for (const auto& [dtype, rates] : kernels_)
    json["kernel_bytes_per_second"][dtype] = median(rates);
  return json;
}

nlohmann::ordered_json BenchRates::disk_json() const {
  const machine::DiskRate best = disk_->best();
  return {{"bytes_per_second", best.bytes_per_second},
          {"block_bytes", best.block_bytes},
          {"depth", best.depth},
          {"ring_bytes_per_second", median(ring_)},
          {"direct_bytes_per_second", disk_->direct_rate()},
          {"buffered_bytes_per_second", disk_->buffered_rate()},
          {"share_of_unlimited", disk_->share_of_unlimited()},
          {"method", engine_.read_method()}};
}

}  // namespace spillway::cli

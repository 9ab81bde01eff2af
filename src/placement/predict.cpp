#include "placement/predict.h"

#include <algorithm>
#include <map>

#include "base/units.h"
#include "placement/simulate.h"

namespace spillway::placement {
namespace {

// Where a rate was not measured, a slow machine's: the plan then errs on the careful side.
constexpr double kUnknownDiskRate = 500e6;
constexpr double kUnknownKernelRate = 2e9;

double kernel_rate(const Workload& workload, const machine::Machine& machine, DType dtype) {
  const double rate = machine.kernel_rate(dtype_info(dtype).name, workload.threads);
  return rate > 0 ? rate : kUnknownKernelRate;
}

bool stays(const Plan& plan, const Slice& slice) {
  return !plan.units[slice.unit].cycle_index;
}

// Slices of a weight that stay and follow each other are one product.
bool is_new_product(const Plan& plan, size_t slice) {
  const Slice& now = plan.slices[slice];
  if (slice == 0) return true;
  const Slice& before = plan.slices[slice - 1];
  return before.weight != now.weight || !stays(plan, now) || !stays(plan, before);
}

// Of the ops between a weight's product and the next one's.
double seconds_beside_a_product(const Workload& workload, const machine::Machine& machine) {
  const auto weights = static_cast<double>(workload.weights.size());
  if (workload.seconds_beside_products) return *workload.seconds_beside_products / weights;
  const double ops = static_cast<double>(workload.ops_per_token) - weights;  // less the products
  return std::max(0.0, ops) / weights * machine.seconds_per_op;
}

// A step for each unit: what computing takes of a weight's other ops lies with its first slice.
std::vector<Step> compute_steps(const Workload& workload, const machine::Machine& machine,
                                const Plan& plan) {
  std::vector<double> seconds_per_byte;
  for (const model::Weight& weight : workload.weights)
    seconds_per_byte.push_back(1 / kernel_rate(workload, machine, weight.dtype));
  const double seconds_per_weight = seconds_beside_a_product(workload, machine);
  std::vector<Step> steps(plan.units.size());
  for (size_t i = 0; i < plan.slices.size(); ++i) {
    const Slice& slice = plan.slices[i];
    double seconds = static_cast<double>(slice.size_bytes) * seconds_per_byte[slice.weight];
    if (is_new_product(plan, i)) seconds += machine.seconds_per_op;
    if (i == 0 || plan.slices[i - 1].weight != slice.weight) seconds += seconds_per_weight;
    steps[slice.unit].compute_seconds += seconds;
  }
  return steps;
}

// Whether a token's row of the embedding table comes from disk.
bool reads_embedding(const Plan& plan) {
  return !plan.embedding_resident && !plan.cycle.empty();
}

// "blk.7.ffn_down.weight" → "ffn_down.weight": the same place in every layer.
std::string kind_of(const std::string& name) {
  if (!name.starts_with("blk.")) return name;
  const size_t dot = name.find('.', 4);
  return dot == std::string::npos ? name : name.substr(dot + 1);
}

std::string reason_of(const Group& group, const Plan& plan, bool plenty) {
  if (group.streamed_bytes == 0) {
    return plenty ? "the budget holds all weights"
                  : "the largest share that fits stays; these fell into it";
  }
  const std::string ring =
      fmt::format("{} slots of {}", plan.staging.slots, format_size(plan.staging.slot_bytes));
  if (group.resident_bytes == 0) {
    return fmt::format("streams from disk ahead of use ({}): the budget leaves no room", ring);
  }
  return fmt::format(
      "{:.0f} % stays, the rest streams ahead of use ({}), spread evenly over the pass",
      100.0 * static_cast<double>(group.resident_bytes) /
          static_cast<double>(group.resident_bytes + group.streamed_bytes),
      ring);
}

}  // namespace

Prediction predict(const Workload& workload, const machine::Machine& machine, const Plan& plan) {
  Prediction p;
  for (const model::Weight& weight : workload.weights) {
    p.host_bytes += weight.size_bytes();
    p.guessed |= machine.kernel_rate(dtype_info(weight.dtype).name, workload.threads) == 0;
  }
  Pass pass{.steps = compute_steps(workload, machine, plan)};
  for (const Step& step : pass.steps) p.compute_seconds += step.compute_seconds;
  double bound_seconds = machine.dram_bytes_per_second > 0
                             ? static_cast<double>(p.host_bytes) / machine.dram_bytes_per_second
                             : 0.0;
  if (!plan.cycle.empty()) {
    for (const memory::StreamRange& range : plan.cycle) {
      p.disk_bytes += memory::StagingRing::padded_bytes(range, workload.file);
    }
    const machine::Disk* disk = machine.disk(std::to_string(workload.file.device));
    const auto rate = [&](size_t bytes, unsigned depth) {
      return disk == nullptr ? kUnknownDiskRate : disk->rate(bytes, depth);
    };
    p.guessed |= disk == nullptr;
    p.disk_bytes_per_second = rate(p.disk_bytes / plan.cycle.size(), plan.staging.depth);
    p.disk_seconds = static_cast<double>(p.disk_bytes) / p.disk_bytes_per_second;
    for (size_t i = 0; i < plan.units.size(); ++i) {
      const auto& entry = plan.units[i].cycle_index;
      if (!entry) continue;
      const size_t bytes = memory::StagingRing::padded_bytes(plan.cycle[*entry], workload.file);
      pass.steps[i].read_seconds = static_cast<double>(bytes) / p.disk_bytes_per_second;
    }
    if (reads_embedding(plan)) {
      const size_t bytes = workload.page_bytes;
      pass.first_read_seconds = static_cast<double>(bytes) / rate(bytes, 1);
    }
    const double best = disk == nullptr ? kUnknownDiskRate : disk->best();
    bound_seconds = std::max(bound_seconds, static_cast<double>(p.disk_bytes) / best);
  }
  p.tokens_per_second = 1.0 / seconds_per_pass(pass, plan.staging);
  p.bound_tokens_per_second = 1.0 / std::max(bound_seconds, 1e-12);
  return p;
}

std::vector<Group> group_slices(const Workload& workload, const Plan& plan) {
  std::vector<Group> groups;
  std::map<std::string, std::pair<size_t, size_t>> index;  // kind → group, weights
  for (const model::Weight& weight : workload.weights) {
    const std::string kind = kind_of(weight.name);
    const auto [entry, is_new] = index.try_emplace(kind, groups.size(), 0);
    if (is_new) groups.push_back({.name = kind, .reason = {}});
    ++entry->second.second;
  }
  for (const Slice& slice : plan.slices) {
    Group& group = groups[index[kind_of(workload.weights[slice.weight].name)].first];
    ++group.slices;
    (plan.units[slice.unit].cycle_index ? group.streamed_bytes : group.resident_bytes) +=
        slice.size_bytes;
  }
  for (auto& [kind, entry] : index) {
    Group& group = groups[entry.first];
    group.reason = reason_of(group, plan, plan.cycle.empty());
    if (entry.second > 1) group.name += fmt::format(", {} layers", entry.second);
  }
  return groups;
}

}  // namespace spillway::placement

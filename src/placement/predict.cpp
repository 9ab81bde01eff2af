#include "placement/predict.h"

#include <algorithm>
#include <map>

#include "base/units.h"

namespace spillway::placement {
namespace {

// Where a rate was not measured, a slow machine's: the plan then errs on the careful side.
constexpr double kUnknownDiskRate = 500e6;
constexpr double kUnknownKernelRate = 2e9;
// Reading and computing run together, but share processors and memory: this part of the shorter one
// is not hidden behind the longer one, as measured (docs/decisions/overlap.md).
constexpr double kNotHidden = 0.5;

double kernel_rate(const Workload& workload, const machine::Machine& machine, DType dtype) {
  const double rate = machine.kernel_rate(dtype_info(dtype).name, workload.threads);
  return rate > 0 ? rate : kUnknownKernelRate;
}

// Calls of matmul a pass: slices of a weight that stay and follow each other are one.
size_t products(const Plan& plan) {
  const auto resident = [&](const Slice& slice) { return !plan.units[slice.unit].cycle_index; };
  size_t count = 0;
  for (size_t i = 0; i < plan.slices.size(); ++i) {
    const Slice& slice = plan.slices[i];
    const bool goes_on = i > 0 && plan.slices[i - 1].weight == slice.weight && resident(slice) &&
                         resident(plan.slices[i - 1]);
    if (!goes_on) ++count;
  }
  return count;
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
    const uint64_t bytes = weight.size_bytes();
    p.host_bytes += bytes;
    p.guessed |= machine.kernel_rate(dtype_info(weight.dtype).name, workload.threads) == 0;
    p.compute_seconds += static_cast<double>(bytes) / kernel_rate(workload, machine, weight.dtype);
  }
  const size_t more_products = products(plan) - workload.weights.size();
  p.compute_seconds +=
      static_cast<double>(workload.ops_per_token + more_products) * machine.seconds_per_op;
  double bound_seconds = machine.dram_bytes_per_second > 0
                             ? static_cast<double>(p.host_bytes) / machine.dram_bytes_per_second
                             : 0.0;
  if (!plan.cycle.empty()) {
    for (const memory::StreamRange& range : plan.cycle) {
      p.disk_bytes += memory::StagingRing::padded_bytes(range, workload.file);
    }
    const machine::Disk* disk = machine.disk(std::to_string(workload.file.device));
    const size_t mean = p.disk_bytes / plan.cycle.size();
    // One slot is in use while the others are being filled.
    p.disk_bytes_per_second =
        disk == nullptr ? kUnknownDiskRate : disk->rate(mean, plan.staging.slots - 1);
    p.guessed |= disk == nullptr;
    p.disk_seconds = static_cast<double>(p.disk_bytes) / p.disk_bytes_per_second;
    const double best = disk == nullptr ? kUnknownDiskRate : disk->best();
    bound_seconds = std::max(bound_seconds, static_cast<double>(p.disk_bytes) / best);
  }
  p.tokens_per_second = 1.0 / (std::max(p.disk_seconds, p.compute_seconds) +
                               kNotHidden * std::min(p.disk_seconds, p.compute_seconds));
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

// A plan for people and for programs.
#include <nlohmann/json.hpp>

#include "base/units.h"
#include "placement/plan.h"

namespace spillway::placement {

nlohmann::ordered_json to_json(const Plan& plan) {
  using nlohmann::ordered_json;
  const Prediction& p = plan.prediction;
  ordered_json json = {{"weight_bytes", plan.weight_bytes},
                       {"resident_bytes", plan.resident_bytes},
                       {"streamed_bytes_per_token", p.disk_bytes},
                       {"slice_count", plan.slices.size()},
                       {"staging",
                        {{"slots", plan.staging.slots},
                         {"slot_bytes", plan.staging.slot_bytes},
                         {"depth", plan.staging.depth}}},
                       {"embedding_resident", plan.embedding_resident},
                       {"least_budget_bytes", plan.least_budget_bytes},
                       {"prediction",
                        {{"tokens_per_second", p.tokens_per_second},
                         {"bound_tokens_per_second", p.bound_tokens_per_second},
                         {"disk_seconds_per_token", p.disk_seconds},
                         {"compute_seconds_per_token", p.compute_seconds},
                         {"disk_bytes_per_second", p.disk_bytes_per_second},
                         {"guessed", p.guessed}}},
                       {"charges", ordered_json::array()},
                       {"groups", ordered_json::array()}};
  for (const Charge& charge : plan.charges) {
    json["charges"].push_back(
        {{"tag", memory::tag_name(charge.tag)}, {"name", charge.name}, {"bytes", charge.bytes}});
  }
  for (const Group& group : plan.groups) {
    json["groups"].push_back({{"name", group.name},
                              {"slices", group.slices},
                              {"resident_bytes", group.resident_bytes},
                              {"streamed_bytes", group.streamed_bytes},
                              {"reason", group.reason}});
  }
  return json;
}

nlohmann::ordered_json slices_json(const Plan& plan, const std::vector<model::Weight>& weights) {
  auto json = nlohmann::ordered_json::array();
  for (const Slice& slice : plan.slices) {
    const bool streamed = plan.units[slice.unit].cycle_index.has_value();
    json.push_back({{"weight", weights[slice.weight].name},
                    {"first_row", slice.first_row},
                    {"rows", slice.rows},
                    {"file_offset", slice.file_offset},
                    {"size_bytes", slice.size_bytes},
                    {"tier", streamed ? "disk" : "host"},
                    {"transport", streamed ? "ring" : "resident"}});
  }
  return json;
}

std::string explain(const std::vector<Charge>& charges) {
  std::string text;
  for (const Charge& charge : charges) {
    text += fmt::format("  {:<12} {:<24} {:>12}\n", memory::tag_name(charge.tag), charge.name,
                        format_size(charge.bytes));
  }
  return text;
}

std::string explain(const Plan& plan) {
  std::string text = "host memory\n" + explain(plan.charges);
  uint64_t sum = 0;
  for (const Charge& charge : plan.charges) sum += charge.bytes;
  text += fmt::format("  {:<37} {:>12}\n", "together", format_size(sum));
  text += fmt::format("  {:<37} {:>12}\n\n", "the least that would do",
                      format_size(plan.least_budget_bytes));
  text +=
      fmt::format("{:<32} {:>7} {:>12} {:>12}  why\n", "weights", "slices", "resident", "streamed");
  for (const Group& group : plan.groups) {
    text += fmt::format("{:<32} {:>7} {:>12} {:>12}  {}\n", group.name, group.slices,
                        format_size(group.resident_bytes), format_size(group.streamed_bytes),
                        group.reason);
  }
  const Prediction& p = plan.prediction;
  text += fmt::format("\nper token: {} from host memory", format_size(p.host_bytes));
  if (p.disk_bytes > 0) {
    text +=
        fmt::format(", {} of it through the ring from disk at {:.2f} GB/s ({:.1f} ms)",
                    format_size(p.disk_bytes), p.disk_bytes_per_second / 1e9, p.disk_seconds * 1e3);
  }
  text += fmt::format(", {:.1f} ms of computing\nexpected: {:.3g} tokens/s (bound {:.3g})\n",
                      p.compute_seconds * 1e3, p.tokens_per_second, p.bound_tokens_per_second);
  if (p.guessed) text += "(some rates were not measured; careful guesses stand for them)\n";
  return text;
}

}  // namespace spillway::placement

#include "cli/report.h"

#include <nlohmann/json.hpp>

#include "base/units.h"

namespace spillway::cli {
namespace {

std::string tier_text(const char* tier, uint64_t bytes, const Speed& speed) {
  if (bytes == 0 || speed.tokens == 0 || speed.seconds <= 0) return fmt::format("{} 0 B", tier);
  return fmt::format("{} {} a token at {:.2f} GB/s", tier, format_size(bytes / speed.tokens),
                     static_cast<double>(bytes) / speed.seconds / 1e9);
}

double share(const Speed& speed) {
  if (speed.share_of_bound > 0) return speed.share_of_bound;
  return speed.bound_tokens_per_second > 0 ? speed.tokens_per_second / speed.bound_tokens_per_second
                                           : 0;
}

}  // namespace

std::string speed_line(const Speed& speed) {
  return fmt::format(
      "{:.1f} tokens/s; {}, {}; bound {:.1f} tokens/s, {:.0f} % reached; predicted {:.1f}",
      speed.tokens_per_second, tier_text("host", speed.traffic.host_bytes, speed),
      tier_text("disk", speed.traffic.disk_bytes, speed), speed.bound_tokens_per_second,
      100 * share(speed), speed.predicted_tokens_per_second);
}

std::string peak_line(const memory::Budget& budget, uint64_t process_bytes) {
  return fmt::format("peak host {} of {} (process {})", format_size(budget.usage().peak_bytes),
                     format_size(budget.limit_bytes()), format_size(process_bytes));
}

nlohmann::ordered_json speed_json(const Speed& speed) {
  return {
      {"tokens_per_second", speed.tokens_per_second},
      {"bound_tokens_per_second", speed.bound_tokens_per_second},
      {"share_of_bound", share(speed)},
      {"predicted_tokens_per_second", speed.predicted_tokens_per_second},
      {"tokens", speed.tokens},
      {"seconds", speed.seconds},
      {"wait_seconds", speed.traffic.wait_seconds},
      {"bytes_by_tier", {{"host", speed.traffic.host_bytes}, {"disk", speed.traffic.disk_bytes}}}};
}

nlohmann::ordered_json budget_json(const memory::Budget& budget) {
  nlohmann::ordered_json json = {{"limit_bytes", budget.limit_bytes()},
                                 {"peak_bytes", budget.usage().peak_bytes},
                                 {"tags", nlohmann::ordered_json::object()}};
  for (const memory::Tag tag : memory::kTags) {
    const memory::Usage usage = budget.usage(tag);
    json["tags"][std::string(memory::tag_name(tag))] = {{"bytes", usage.bytes},
                                                        {"peak_bytes", usage.peak_bytes}};
  }
  return json;
}

}  // namespace spillway::cli

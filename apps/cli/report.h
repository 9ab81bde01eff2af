// What a run tells about itself when it is done. Pure functions; any thread.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "engine/generate.h"
#include "placement/plan.h"
#include "spillway/memory/budget.h"

namespace spillway::cli {

// A speed, what made it, and what it could have been.
struct Speed {
  double tokens_per_second = 0;
  double bound_tokens_per_second = 0;
  double share_of_bound = 0;  // 0: the speed's of the bound
  double predicted_tokens_per_second = 0;
  size_t tokens = 0;
  double seconds = 0;
  engine::Traffic traffic;
};

// Speed, tiers, bound, share, prediction: one line without its end.
std::string speed_line(const Speed& speed);
// "peak host 63.1 MiB of 64.0 MiB (process 61.7 MiB)".
std::string peak_line(const memory::Budget& budget, uint64_t process_bytes);
nlohmann::ordered_json speed_json(const Speed& speed);
nlohmann::ordered_json budget_json(const memory::Budget& budget);

}  // namespace spillway::cli

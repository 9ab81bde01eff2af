// What the environment of the process tells: the only place that reads it. Call from the start of a
// program; any thread.
#pragma once

#include <string>

namespace spillway {

// Where this user's programs keep what can be made again: $XDG_CACHE_HOME/spillway, or
// $HOME/.cache/spillway; empty if neither is set.
std::string cache_directory();

// $SPILLWAY_HBM_BUDGET and $SPILLWAY_HOST_BUDGET, as the user wrote them; empty where not set. For
// entry points that have no arguments to carry a budget.
std::string hbm_budget_text();
std::string host_budget_text();
// $SPILLWAY_KERNELS: the instruction set whose kernels compute, in place of the best; empty where
// not set.
std::string kernels_text();
// $SPILLWAY_MANAGED is 1.
bool managed_wanted();

}  // namespace spillway

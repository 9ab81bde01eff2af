// The cost model, and the reasons. Pure functions; any thread.
#pragma once

#include <vector>

#include "placement/plan.h"

namespace spillway::placement {

// Seconds of one decoded token, from the plan's units and the machine's rates: the longer of
// streamed bytes / disk rate and weight bytes / kernel rate + time per op, and half of the shorter.
Prediction predict(const Workload& workload, const machine::Machine& machine, const Plan& plan);

// The slices of all layers of a kind together, with why they are where they are.
std::vector<Group> group_slices(const Workload& workload, const Plan& plan);

}  // namespace spillway::placement

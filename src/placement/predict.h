// The cost model, and the reasons. Pure functions; any thread.
#pragma once

#include <vector>

#include "placement/plan.h"

namespace spillway::placement {

// Seconds of one decoded token: the plan's units pass the ring and the processor in simulated time
// (placement/simulate.h), at the machine's rates.
Prediction predict(const Workload& workload, const machine::Machine& machine, const Plan& plan);

// The slices of all layers of a kind together, with why they are where they are.
std::vector<Group> group_slices(const Workload& workload, const Plan& plan);

}  // namespace spillway::placement

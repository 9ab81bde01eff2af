// Passes of decoding in simulated time: a disk that reads in order, a ring of slots, a processor
// that uses units in order. It does what the ring does (memory/staging_ring.h), so that the time of
// a token comes from the plan and measured rates alone. Pure functions; any thread.
#pragma once

#include <optional>
#include <vector>

#include "memory/staging_ring.h"

namespace spillway::placement {

// What a pass uses next.
struct Step {
  double compute_seconds = 0;
  std::optional<double> read_seconds = {};  // of the ring's next entry; none: it stays in memory
};

struct Pass {
  double first_read_seconds = 0;  // of what is read when a pass begins, beside the ring; 0: nothing
  std::vector<Step> steps;
};

// Seconds of a pass when passes follow each other: the ring reads on across their ends. The ring
// has slots and a depth if a step reads.
double seconds_per_pass(const Pass& pass, const memory::StagingRing::Options& ring);

}  // namespace spillway::placement

// Cuts the weights of a pass into units that one read brings. Pure functions; any thread.
#pragma once

#include <vector>

#include "placement/plan.h"

namespace spillway::placement {

struct Cut {
  std::vector<Slice> slices;
  std::vector<Unit> units;
};

// Every weight is cut into slices of whole rows, about equal and at most `block_bytes` long (a
// longer row is a slice of its own). Slices that follow each other in execution and together lie in
// at most `block_bytes` of the file, next to without gaps, make one unit.
Cut cut_units(const std::vector<model::Weight>& weights, size_t block_bytes);

// Bytes of the pages that hold the units without a cycle_index, each page once.
uint64_t resident_page_bytes(const std::vector<Unit>& units, size_t page_bytes);

// Lets units stay until `capacity_bytes` of pages are full and marks the others for the ring, those
// evenly spread over the pass. Returns the ring's cycle.
std::vector<memory::StreamRange> choose_resident(std::vector<Unit>& units, uint64_t capacity_bytes,
                                                 size_t page_bytes);

}  // namespace spillway::placement

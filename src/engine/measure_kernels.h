// Measures how fast products with one token run, so that a plan can be made. One thread.
#pragma once

#include <functional>
#include <set>

#include "engine/engine.h"
#include "machine/machine.h"

namespace spillway::engine {

struct KernelMeasurement {
  std::set<DType> dtypes;
  unsigned threads = 1;
  size_t columns = 4096;    // rounded to whole blocks
  size_t rows = 256;        // of one call
  size_t buffer_bytes = 0;  // of weights; larger than the caches where it may be
  // Called before each product: what the machine does meanwhile.
  std::function<Result<void>()> beside = {};
};

// Fills the machine's kernel rates and seconds_per_op. kBudget, kMachine, and errors of `beside`.
Result<void> measure_kernels(const Context& context, const KernelMeasurement& what,
                             machine::Machine& machine);

}  // namespace spillway::engine

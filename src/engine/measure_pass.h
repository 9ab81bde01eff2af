// Measures what a decoded token takes beside its products. One thread.
#pragma once

#include "engine/engine.h"
#include "engine/model_file.h"
#include "engine/workload.h"

namespace spillway::engine {

// Seconds of a pass of one token at position `position`, by the model's own code, whose products
// are left out but for preparing their inputs: norms, RoPE, attention over what lies before,
// activations. The median of a few. The model's small tensors are filled, as they are once an
// engine was loaded. Buffers of its own are charged to the context's budget. kBudget, kMachine.
Result<double> measure_pass(const Context& context, const ModelFile& model, DType kv,
                            size_t position);

}  // namespace spillway::engine

// What a run needs of memory: turned into the planner's question. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/units.h"
#include "engine/model_file.h"
#include "ops/ops.h"
#include "placement/plan.h"

namespace spillway::engine {

inline constexpr size_t kKvBlockTokens = 16;

// Names of charges that the engine takes out of a plan.
inline constexpr const char* kProgramCharge = "program";
inline constexpr const char* kNormsCharge = "norms";
// Code, libraries, the first stack and what malloc keeps, as measured
// (docs/decisions/process-charge.md).
inline constexpr uint64_t kProcessBytes = 12 * kMiB;

// The user's caps and choices that decide about memory.
struct Settings {
  uint64_t host_budget_bytes = 0;
  std::optional<uint64_t> weights_budget_bytes = {};
  unsigned threads = 1;
  size_t prompt_chunk = 512;  // tokens a pass, at most
  DType kv = DType::kF16;
  std::vector<placement::Charge> beside = {};  // what else the run holds of the budget
  bool within_process = false;                 // another model of the run counts the program itself
};

// How long a run may get.
struct RunLength {
  size_t prompt_tokens = 0;
  size_t answer_tokens = 0;
  bool all_outputs = false;   // every position gives logits, not only a chunk's last
  size_t drafted_tokens = 0;  // that a pass of decoding checks beside the next one, at most
};

// How much of the model a run uses.
struct RunShape {
  size_t positions = 0;  // of the KV cache: prompt and answer
  size_t chunk = 1;      // tokens a pass, at most
  size_t outputs = 1;    // of them with logits, at most
};

// The shape for a prompt and an answer. The chunk is halved until a pass's buffers take at most an
// eighth of the budget: results do not depend on it.
RunShape run_shape(const ModelFile& model, const ops::Ops& ops, const Settings& settings,
                   const RunLength& length);

struct RunPlan {
  RunShape shape;
  placement::Plan plan;
};

// Where the budget is too small for the shape's chunk, the chunk is halved before the run is
// refused: kBudget then names the least that would do for any chunk.
Result<RunPlan> plan_run(const ModelFile& model, const ops::Ops& ops, const Settings& settings,
                         RunShape shape, const machine::Machine& machine);

placement::Workload make_workload(const ModelFile& model, const ops::Ops& ops,
                                  const Settings& settings, const RunShape& shape);

}  // namespace spillway::engine

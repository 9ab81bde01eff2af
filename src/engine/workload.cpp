#include "engine/workload.h"

#include <algorithm>

#include "base/units.h"
#include "engine/embedding_reader.h"
#include "engine/kv_cache.h"

namespace spillway::engine {
namespace {

// Code, libraries, the first stack and what malloc keeps, as measured.
constexpr uint64_t kProcessBytes = 10 * kMiB;
// A thread's stack and arena.
constexpr uint64_t kThreadBytes = 64 * kKiB;
// A token's place among the sampler's candidates.
constexpr uint64_t kSamplerBytes = 24;
// Share of the budget that one pass's buffers may take.
constexpr uint64_t kActivationShare = 8;

}  // namespace

RunShape run_shape(const ModelFile& model, const ops::Ops& ops, const Settings& settings,
                   const RunLength& length) {
  RunShape shape;
  shape.positions = length.prompt_tokens + length.answer_tokens;
  shape.chunk = std::clamp<size_t>(length.prompt_tokens, 1, settings.prompt_chunk);
  const auto outputs = [&] { return length.all_outputs ? shape.chunk : 1; };
  while (shape.chunk > 1 &&
         model::Activations::size_bytes(model.transformer.config(), ops, shape.chunk, outputs()) >
             settings.host_budget_bytes / kActivationShare) {
    shape.chunk /= 2;
  }
  shape.outputs = outputs();
  return shape;
}

Result<RunPlan> plan_run(const ModelFile& model, const ops::Ops& ops, const Settings& settings,
                         RunShape shape, const machine::Machine& machine) {
  SPILLWAY_TRY(model::KvLayout::fits(model.transformer.config(), settings.kv));
  while (true) {
    auto plan = placement::make_plan(make_workload(model, ops, settings, shape), machine);
    if (plan) return RunPlan{shape, std::move(*plan)};
    if (plan.error().code != ErrorCode::kBudget || shape.chunk == 1)
      return tl::unexpected(plan.error());
    shape.chunk /= 2;
    shape.outputs = std::min(shape.outputs, shape.chunk);
  }
}

placement::Workload make_workload(const ModelFile& model, const ops::Ops& ops,
                                  const Settings& settings, const RunShape& shape) {
  using memory::Tag;
  const model::ModelConfig& config = model.transformer.config();
  const auto pages = [&](uint64_t bytes) { return round_up(bytes, model.page_bytes); };
  uint64_t small_bytes = 0;
  for (const model::SmallTensor& tensor : model.transformer.small_tensors())
    small_bytes += tensor.size * sizeof(float);
  const auto layout = model::KvLayout::of(config, settings.kv, kKvBlockTokens);

  placement::Workload workload;
  workload.weights = model.transformer.weights();
  workload.embedding = model.transformer.embedding();
  workload.charges = {
      {Tag::kWeights, kNormsCharge, small_bytes},
      {Tag::kKv, fmt::format("{} positions", shape.positions),
       pages(KvCache::blocks_for(shape.positions) * layout.block_bytes)},
      {Tag::kActivations, fmt::format("a pass of {} tokens", shape.chunk),
       pages(model::Activations::size_bytes(config, ops, shape.chunk, shape.outputs))},
      {Tag::kStaging, "embedding rows",
       EmbeddingReader::staging_bytes(model.transformer.embedding(), model.file->info(),
                                      model.page_bytes)},
      {Tag::kVocabulary, "tokenizer and header", model.header_bytes},
      {Tag::kOther, kProgramCharge,
       kProcessBytes + settings.threads * kThreadBytes + config.vocabulary * kSamplerBytes},
  };
  workload.host_budget_bytes = settings.host_budget_bytes;
  workload.weights_budget_bytes = settings.weights_budget_bytes;
  workload.threads = settings.threads;
  workload.ops_per_token = model.transformer.ops_per_token();
  workload.file = model.file->info();
  // Direct reads may ask for more than a page.
  workload.page_bytes = std::max(model.page_bytes, model.file->info().offset_alignment);
  return workload;
}

}  // namespace spillway::engine

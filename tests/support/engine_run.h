// One run of a model from opening its file to giving everything back, and what came of it. Values;
// one thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "engine/generate.h"
#include "support/placement_workloads.h"

namespace spillway::test {

inline const std::string kPath = "tiny";  // of the model

struct Request {
  std::vector<formats::TokenId> prompt = {1, 70, 104, 111, 112, 35, 120, 114, 117, 111, 103};
  size_t max_tokens = 6;
  size_t context = 64;
  unsigned threads = 1;
  size_t chunk = 64;
  DType kv = DType::kF16;
  bool ignore_end = true;
  std::optional<uint64_t> weights_budget_bytes = {};
  engine::SamplingOptions sampling = {};
  platform::OpenOptions open = {};
  const std::atomic<bool>* stop = nullptr;
  std::function<void()> before_load = {};     // the file is open, its header was read
  std::function<void(size_t)> on_token = {};  // how many there are
  engine::Progress progress = {};
};

struct Outcome {
  std::optional<Error> error;
  std::vector<formats::TokenId> ids;
  std::vector<float> logits;  // of every position that was evaluated
  engine::StopReason reason = engine::StopReason::kLength;
  size_t passes = 0;
  bool mapped = false;
  std::optional<placement::Plan> plan;
  engine::RunShape shape;
  uint64_t disk_bytes = 0;
  uint64_t peak_bytes = 0;
  uint64_t held_bytes = 0;  // of the budget, when everything is gone
};

// `outcome` is filled as far as the run gets.
inline Result<void> run_in(platform::Platform& platform, const std::string& path,
                           const Request& request, memory::Budget& budget, Outcome& outcome) {
  ThreadPool pool(request.threads);
  const auto ops = ops::make_cpu_ops(pool);
  SPILLWAY_ASSIGN(auto model, engine::ModelFile::open(platform, path, request.open));
  const engine::Settings settings{.host_budget_bytes = budget.limit_bytes(),
                                  .weights_budget_bytes = request.weights_budget_bytes,
                                  .threads = request.threads,
                                  .prompt_chunk = request.chunk,
                                  .kv = request.kv};
  const auto shape =
      engine::run_shape(model, *ops, settings, {request.prompt.size(), request.max_tokens, true});
  SPILLWAY_ASSIGN(const engine::RunPlan run,
                  engine::plan_run(model, *ops, settings, shape, machine_with_disk(2e9)));
  outcome.shape = run.shape;
  outcome.plan = run.plan;
  if (request.before_load) request.before_load();
  const engine::Context context{platform, budget, *ops, request.stop};
  SPILLWAY_ASSIGN(const auto loaded,
                  engine::Engine::load(context, model, settings, run, request.progress));
  outcome.mapped = loaded->mapped();
  engine::GenerateOptions options{.max_tokens = request.max_tokens,
                                  .context = request.context,
                                  .sampling = request.sampling,
                                  .ignore_end = request.ignore_end};
  size_t tokens = 0;
  options.on_token = [&](formats::TokenId) {
    if (request.on_token) request.on_token(++tokens);
  };
  options.on_logits = [&](std::span<const float> logits) -> Result<void> {
    outcome.logits.insert(outcome.logits.end(), logits.begin(), logits.end());
    return {};
  };
  SPILLWAY_ASSIGN(const auto generation,
                  engine::generate(*loaded, context, model.tokenizer, request.prompt, options));
  outcome.ids = generation.ids;
  outcome.reason = generation.reason;
  outcome.passes = generation.passes;
  outcome.disk_bytes = generation.prefill.disk_bytes + generation.decode.disk_bytes;
  return {};
}

inline Outcome run_model(platform::Platform& platform, const std::string& path,
                         uint64_t host_budget_bytes, const Request& request) {
  Outcome outcome;
  memory::Budget budget(memory::Tier::kHost, host_budget_bytes);
  if (request.weights_budget_bytes)
    budget.limit_tag(memory::Tag::kWeights, *request.weights_budget_bytes);
  const auto done = run_in(platform, path, request, budget, outcome);
  if (!done) outcome.error = done.error();
  outcome.held_bytes = budget.usage().bytes;
  outcome.peak_bytes = budget.usage().peak_bytes;
  return outcome;
}

// The least budget with which a request runs, and that with which nothing streams.
struct BudgetRange {
  uint64_t least = 0;
  uint64_t all = 0;
};

inline BudgetRange budget_range(platform::Platform& platform, const std::string& path,
                                Request request) {
  request.max_tokens = std::max<size_t>(request.max_tokens, 1);
  const Outcome outcome = run_model(platform, path, UINT32_MAX, request);
  if (!outcome.plan) return {};
  return {outcome.plan->least_budget_bytes, sum_of(outcome.plan->charges)};
}

}  // namespace spillway::test

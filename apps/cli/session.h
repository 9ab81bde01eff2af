// From flags to a loaded model: what run, plan, perplexity and bench do alike. One thread.
#pragma once

#include <atomic>
#include <memory>
#include <set>
#include <string>

#include "base/result.h"
#include "base/thread_pool.h"
#include "cli/options.h"
#include "engine/engine.h"
#include "machine/machine.h"
#include "ops/ops.h"
#include "platform/platform.h"

namespace spillway::cli {

// The machine, the flags' meaning, and the model's file.
struct Session {
  std::unique_ptr<platform::Platform> platform;
  engine::Settings settings;
  engine::ModelFile model;
  std::unique_ptr<ThreadPool> pool;
  std::unique_ptr<ops::Ops> ops;
  const std::atomic<bool>* stop = nullptr;

  static Result<Session> open(const ModelOptions& options);

  // Positions that the model and --context allow.
  size_t context_limit(const ModelOptions& options) const;
  // The machine's rates: from --machine, else from the cache, else measured now (and cached).
  Result<machine::Machine> machine(const ModelOptions& options);
  std::set<DType> weight_dtypes() const;
  Result<engine::RunPlan> plan(const engine::RunLength& length,
                               const machine::Machine& machine) const;
  engine::Context context(memory::Budget& budget) const;
  // Puts the user's caps on single tags into the budget, and loads the plan within it. Shows how
  // far that is, on a terminal only; kInterrupted once the user stops it.
  Result<std::unique_ptr<engine::Engine>> load(memory::Budget& budget, engine::RunPlan run);
};

}  // namespace spillway::cli

// A draft model beside the model that answers, within the same budget: it stays in memory whole, as
// reading it for every guess would cost more than the guess saves. One thread.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "engine/drafter.h"
#include "engine/engine.h"
#include "engine/workload.h"

namespace spillway::engine {

struct DraftPlan {
  std::unique_ptr<ModelFile> model;  // outlives the drafter
  Settings settings;
  RunPlan run;

  // What the draft model will hold, for Settings::beside of the other one.
  std::vector<placement::Charge> charges() const;
};

// For texts as long as `length` says. kUsage: its vocabulary is not `target`'s; otherwise as
// ModelFile::open and plan_run.
Result<DraftPlan> plan_draft(const Context& context, const std::string& path,
                             const ModelFile& target, const Settings& settings,
                             const RunLength& length);

// Errors as of Engine::load.
Result<std::unique_ptr<DraftModel>> load_draft(const Context& context, DraftPlan& plan,
                                               double least_probability);

}  // namespace spillway::engine

// spillway plan: what would live where, why, how fast. Loads nothing.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/session.h"

namespace spillway::cli {
namespace {

struct PlanOptions {
  ModelOptions model;
  size_t prompt_tokens = 512;
  size_t max_tokens = 128;
  bool json = false;
};

Result<void> plan(const PlanOptions& options) {
  SPILLWAY_ASSIGN(Session session, Session::open(options.model));
  const size_t limit = session.context_limit(options.model);
  const size_t prompt = std::min(options.prompt_tokens, limit - 1);
  const engine::RunLength length{prompt, std::min(options.max_tokens, limit - prompt)};
  SPILLWAY_ASSIGN(const machine::Machine machine, session.machine(options.model));
  SPILLWAY_ASSIGN(const engine::RunPlan run, session.plan(length, machine));
  if (options.json) {
    auto json = placement::to_json(run.plan);
    json["slices"] = placement::slices_json(run.plan, session.model.transformer.weights());
    // A name in a file may hold any bytes: invalid UTF-8 is replaced.
    std::puts(json.dump(2, ' ', false, decltype(json)::error_handler_t::replace).c_str());
  } else {
    std::fputs(placement::explain(run.plan).c_str(), stdout);
  }
  return {};
}

}  // namespace

void add_plan(Command& program) {
  auto options = std::make_shared<PlanOptions>();
  Command command =
      program.add_command("plan", "says what would live where, why, and how fast; loads nothing");
  options->model.add_to(command);
  command.add_option("-p,--prompt-tokens", options->prompt_tokens, "length of the prompt")
      .range(1, 1 << 24)
      .show_default();
  command.add_option("-n,--predict", options->max_tokens, "tokens of the answer")
      .range(1, 1 << 24)
      .show_default();
  command.add_flag("--json", options->json, "for programs");
  command.on_chosen([options] { return plan(*options); });
}

}  // namespace spillway::cli

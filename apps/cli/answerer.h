// A loaded model that answers prompts as the flags say, and prints the answers. What run and chat
// do alike. One thread.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "cli/answer_options.h"
#include "cli/options.h"
#include "cli/session.h"
#include "engine/draft_plan.h"
#include "engine/generate.h"
#include "engine/grammar_constraint.h"
#include "engine/session_file.h"
#include "spillway/memory/budget.h"

namespace spillway::cli {

class Answerer {
 public:
  struct Length {
    engine::RunLength run;
    // Where the budget has no room for the run's positions they are halved, but not below this; 0:
    // never.
    size_t least_positions = 0;
  };
  // Plans and loads for texts as long as `length` says. The options outlive the object.
  static Result<std::unique_ptr<Answerer>> load(Session session, const ModelOptions& model_options,
                                                const AnswerOptions& options, Length length);

  // Prints the answer as it comes, then an end of line. The text fits positions(). Each answer has
  // its own seed: the next number.
  Result<engine::Generation> answer(std::span<const formats::TokenId> prompt, size_t max_tokens,
                                    const engine::OnLogits& on_logits = {});

  // The session's is the engine's text from now on. kBadFile, kUsage.
  Result<void> restore(const engine::SessionFile& session);
  // Saves the last prompt and its answer; `note` is the caller's. kUsage: there is none, or the
  // path makes no sense; kMachine.
  Result<void> save(const std::string& path, const std::string& note);
  Result<engine::SessionFile> open_session(const std::string& path);

  const engine::ModelFile& model() const { return session_.model; }
  engine::Engine& engine() { return *engine_; }
  size_t positions() const { return engine_->shape().positions; }

  // A few lines about an answer and what the run holds.
  Result<std::string> summary(const engine::Generation& generation, size_t prompt_tokens) const;
  // The same, and more, for programs.
  Result<nlohmann::ordered_json> statistics(const engine::Generation& generation,
                                            std::span<const formats::TokenId> prompt) const;

 private:
  Answerer(Session session, const AnswerOptions& options);
  Result<void> prepare_grammar();
  Result<engine::RunPlan> plan(engine::RunLength length, const machine::Machine& machine);
  Result<void> check_session_path(const std::string& path);
  double load_seconds() const;  // waiting for weights within passes included

  Session session_;
  const AnswerOptions& options_;
  memory::Budget budget_;
  std::unique_ptr<engine::Engine> engine_;
  engine::DraftPlan draft_plan_;  // before the drafter, which uses its model
  std::unique_ptr<engine::Drafter> drafter_;
  std::optional<formats::Grammar> grammar_;
  std::unique_ptr<engine::GrammarConstraint> constraint_;
  memory::Reservation constraint_charge_;
  std::vector<formats::TokenId> text_;  // the last prompt and its answer
  double load_seconds_ = 0;             // until the first pass could begin
  uint64_t answers_ = 0;
};

}  // namespace spillway::cli

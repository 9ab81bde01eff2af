// spillway run: a question in, an answer out.
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/answerer.h"
#include "cli/commands.h"
#include "cli/output_file.h"
#include "cli/prompt.h"

namespace spillway::cli {
namespace {

using formats::TokenId;

struct RunOptions {
  ModelOptions model;
  AnswerOptions answer;
  std::string prompt;
  bool raw = false;
  std::string stats;
  std::string logits;
};

// What is to be answered, and what it goes on with.
struct Prompt {
  std::optional<engine::SessionFile> session;
  std::vector<formats::ChatMessage> messages;  // none: a plain text
  std::vector<TokenId> tokens;
};

Result<void> continue_text(const engine::ModelFile& model, const std::string& text,
                           Prompt& prompt) {
  prompt.tokens = prompt.session->text().tokens;
  const auto more = model.tokenizer.encode(text, {.parse_special = false, .add_special = false});
  prompt.tokens.insert(prompt.tokens.end(), more.begin(), more.end());
  return {};
}

Result<Prompt> make_prompt(Session& session, const RunOptions& options) {
  const engine::ModelFile& model = session.model;
  Prompt prompt;
  const std::string& path = options.answer.load_session;
  if (!path.empty()) {
    SPILLWAY_ASSIGN(prompt.session,
                    engine::SessionFile::open(*session.platform, path, model, session.settings.kv));
  }
  const bool no_template = !model.chat_template && model.chat_template_error.empty();
  if (no_template && !options.raw) {
    std::fprintf(stderr, "the file has no chat template: the prompt is taken as it is\n");
  }
  if (options.raw || no_template) {
    if (prompt.session) {
      SPILLWAY_TRY(continue_text(model, options.prompt, prompt));
      return prompt;
    }
    SPILLWAY_ASSIGN(prompt.tokens, raw_prompt(model, options.prompt));
    return prompt;
  }
  if (prompt.session) {
    SPILLWAY_ASSIGN(prompt.messages, parse_conversation(prompt.session->text().note));
  }
  set_system(prompt.messages, options.answer.system);
  prompt.messages.push_back({"user", options.prompt});
  SPILLWAY_ASSIGN(prompt.tokens, chat_prompt(model, prompt.messages));
  return prompt;
}

struct Outputs {
  std::optional<OutputFile> stats;
  std::optional<OutputFile> logits;
};

Result<Outputs> open_outputs(const RunOptions& options) {
  Outputs outputs;
  for (const std::string& path : {options.stats, options.logits}) {
    std::error_code ignored;
    if (!path.empty() && std::filesystem::equivalent(path, options.model.model, ignored)) {
      return fail(ErrorCode::kUsage, "{}: this is the model; it is not overwritten", path);
    }
  }
  if (!options.stats.empty()) {
    SPILLWAY_ASSIGN(outputs.stats, OutputFile::create("--stats", options.stats));
  }
  if (!options.logits.empty()) {
    SPILLWAY_ASSIGN(outputs.logits, OutputFile::create("--dump-logits", options.logits));
  }
  return outputs;
}

Result<void> finish_outputs(Outputs& outputs, const nlohmann::ordered_json& statistics) {
  if (outputs.stats) {
    const std::string text = statistics.dump(2) + "\n";
    SPILLWAY_TRY(outputs.stats->write(std::as_bytes(std::span(text))));
    SPILLWAY_TRY(outputs.stats->close());
  }
  if (outputs.logits) SPILLWAY_TRY(outputs.logits->close());
  return {};
}

// Room for the answer: what is asked for, as far as the context goes.
Result<size_t> answer_room(size_t prompt, size_t limit, size_t max_tokens) {
  if (prompt >= limit) {
    return fail(ErrorCode::kUsage,
                "the prompt has {} tokens, but the context has only {} positions (--context)",
                prompt, limit);
  }
  return std::min(max_tokens, limit - prompt);
}

Result<void> run(RunOptions& options) {
  SPILLWAY_TRY(options.answer.check());
  SPILLWAY_ASSIGN(Outputs outputs, open_outputs(options));
  SPILLWAY_ASSIGN(Session session, Session::open(options.model));
  SPILLWAY_ASSIGN(Prompt prompt, make_prompt(session, options));
  const std::vector<TokenId>& tokens = prompt.tokens;
  const size_t limit = session.context_limit(options.model);
  SPILLWAY_ASSIGN(const size_t room, answer_room(tokens.size(), limit, options.answer.max_tokens));
  const size_t restored = prompt.session ? prompt.session->positions() : 0;
  SPILLWAY_ASSIGN(const auto answerer,
                  Answerer::load(std::move(session), options.model, options.answer,
                                 {.run = {.prompt_tokens = std::max(tokens.size(), restored),
                                          .answer_tokens = room,
                                          .all_outputs = outputs.logits.has_value()}}));
  if (prompt.session) SPILLWAY_TRY(answerer->restore(*prompt.session));
  engine::OnLogits on_logits;
  if (outputs.logits) {
    on_logits = [&](std::span<const float> rows) {
      return outputs.logits->write(std::as_bytes(rows));
    };
  }
  SPILLWAY_ASSIGN(const engine::Generation generation,
                  answerer->answer(tokens, options.answer.max_tokens, on_logits));
  SPILLWAY_ASSIGN(const auto statistics, answerer->statistics(generation, tokens));
  const Result<void> written = finish_outputs(outputs, statistics);
  SPILLWAY_ASSIGN(const std::string summary, answerer->summary(generation, tokens.size()));
  std::fprintf(stderr, "\n%s", summary.c_str());
  SPILLWAY_TRY(written);
  if (!options.answer.save_session.empty()) {
    if (!prompt.messages.empty()) prompt.messages.push_back({"assistant", generation.text});
    SPILLWAY_TRY(answerer->save(options.answer.save_session, conversation_text(prompt.messages)));
  }
  // The summary has said so already.
  if (generation.reason == engine::StopReason::kInterrupted)
    return fail(ErrorCode::kInterrupted, "{}", "");
  return {};
}

}  // namespace

void add_run(Command& program) {
  auto options = std::make_shared<RunOptions>();
  Command command = program.add_command("run", "answers a question");
  options->model.add_to(command);
  command.add_option("PROMPT", options->prompt, "the question").required();
  options->answer.add_to(command);
  command.add_flag("--raw", options->raw, "no chat template: the prompt as it is");
  command.add_option("--stats", options->stats, "what the run measured, as JSON").type_name("FILE");
  command.add_option("--dump-logits", options->logits, "float32 [positions, vocabulary]")
      .type_name("FILE");
  command.on_chosen([options] { return run(*options); });
}

}  // namespace spillway::cli

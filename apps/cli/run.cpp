// spillway run: a question in, an answer out.
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <string>

#include "cli/commands.h"
#include "cli/output_file.h"
#include "cli/report.h"
#include "cli/session.h"
#include "engine/generate.h"
#include "formats/chat_template.h"

namespace spillway::cli {
namespace {

using formats::TokenId;

struct RunOptions {
  ModelOptions model;
  std::string prompt;
  std::string system;
  bool raw = false;
  bool ignore_end = false;
  size_t max_tokens = 128;
  engine::SamplingOptions sampling;
  std::string stats;
  std::string logits;
};

std::string special_text(const formats::Tokenizer& tokenizer, std::optional<TokenId> id) {
  return id ? std::string(tokenizer.token_text(*id)) : std::string();
}

// The prompt as the model was trained to see it.
Result<std::vector<TokenId>> prompt_tokens(const engine::ModelFile& model,
                                           const RunOptions& options) {
  const formats::Tokenizer& tokenizer = model.tokenizer;
  if (!options.raw && !model.chat_template_error.empty()) {
    return fail(ErrorCode::kBadFile, "tokenizer.chat_template: {}; --raw goes without it",
                model.chat_template_error);
  }
  if (options.raw || !model.chat_template) {
    if (!options.raw) {
      std::fprintf(stderr, "the file has no chat template: the prompt is taken as it is\n");
    }
    auto ids = tokenizer.encode(options.prompt, {.parse_special = false, .add_special = true});
    if (!ids.empty()) return ids;
    if (tokenizer.bos()) return std::vector<TokenId>{*tokenizer.bos()};
    return fail(ErrorCode::kUsage, "the prompt is empty, and the model has no token to begin with");
  }
  std::vector<formats::ChatMessage> messages;
  if (!options.system.empty()) messages.push_back({"system", options.system});
  messages.push_back({"user", options.prompt});
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  SPILLWAY_ASSIGN(const std::string text,
                  formats::render_chat(*model.chat_template, messages,
                                       {special_text(tokenizer, tokenizer.bos()),
                                        special_text(tokenizer, tokenizer.eos())},
                                       true, local));
  auto ids = tokenizer.encode(text, {.parse_special = true, .add_special = true});
  // Many templates begin with the BOS that add_special has put there already.
  if (ids.size() > 1 && tokenizer.bos() && ids[0] == *tokenizer.bos() && ids[1] == ids[0]) {
    ids.erase(ids.begin());
  }
  if (ids.empty())
    return fail(ErrorCode::kBadFile,
                "the file's chat template makes nothing of the prompt; try --raw");
  return ids;
}

// Writes the answer as it comes, whole characters only.
class AnswerPrinter {
 public:
  AnswerPrinter(const formats::Tokenizer& tokenizer, TokenId before)
      : tokenizer_(tokenizer), before_(before) {}
  void print(TokenId id) {
    // Behind a control token, decode() takes away a space that is the tokenizer's, not the
    // text's.
    const bool begins = tokenizer_.type(before_) == formats::TokenType::kControl;
    write(decoder_.push(begins ? tokenizer_.decode({before_, id}) : tokenizer_.piece(id)));
    before_ = id;
  }
  void finish() { write(decoder_.finish() + "\n"); }

 private:
  static void write(const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  }
  const formats::Tokenizer& tokenizer_;
  TokenId before_;
  formats::StreamDecoder decoder_;
};

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

Speed decode_speed(const engine::Generation& generation, const placement::Plan& plan) {
  return {.tokens_per_second = generation.passes > 0 ? static_cast<double>(generation.passes) /
                                                           generation.decode_seconds
                                                     : 0,
          .bound_tokens_per_second = plan.prediction.bound_tokens_per_second,
          .predicted_tokens_per_second = plan.prediction.tokens_per_second,
          .tokens = generation.passes,
          .seconds = generation.decode_seconds,
          .traffic = generation.decode};
}

struct Outcome {
  const std::vector<TokenId>& prompt;
  const engine::Generation& generation;
  const engine::Engine& engine;
  const memory::Budget& budget;
  uint64_t process_peak_bytes = 0;
  double load_seconds = 0;
};

void print_outcome(const Outcome& o) {
  const engine::Generation& g = o.generation;
  std::fprintf(stderr,
               "\n%zu prompt tokens in %.2f s (%.1f tokens/s), loaded in %.2f s (%s), %zu tokens, "
               "ended by: %s\n",
               o.prompt.size(), g.prefill_seconds,
               static_cast<double>(o.prompt.size()) / g.prefill_seconds, o.load_seconds,
               o.engine.mapped() ? "mapped" : "read", g.ids.size(),
               std::string(engine::stop_reason_name(g.reason)).c_str());
  if (g.reason == engine::StopReason::kContextFull) {
    std::fprintf(stderr, "the context is full; a larger --context may be given\n");
  }
  std::fprintf(stderr, "%s\n", peak_line(o.budget, o.process_peak_bytes).c_str());
  std::fprintf(stderr, "%s\n", speed_line(decode_speed(g, o.engine.plan())).c_str());
}

std::string stats_text(const Outcome& o) {
  const engine::Generation& g = o.generation;
  nlohmann::ordered_json json = {
      {"prompt_token_ids", o.prompt},
      {"token_ids", g.ids},
      {"stop_reason", engine::stop_reason_name(g.reason)},
      {"load_seconds", o.load_seconds},
      {"prefill_seconds", g.prefill_seconds},
      {"prefill_bytes_by_tier", {{"host", g.prefill.host_bytes}, {"disk", g.prefill.disk_bytes}}},
      {"peak_host_bytes", o.budget.usage().peak_bytes},
      {"process_peak_bytes", o.process_peak_bytes},
      {"mapped", o.engine.mapped()},
      {"read_method", o.engine.read_method()}};
  json.update(speed_json(decode_speed(g, o.engine.plan())));
  json["budget"] = budget_json(o.budget);
  json["plan"] = placement::to_json(o.engine.plan());
  return json.dump(2) + "\n";
}

Result<void> finish_outputs(Outputs& outputs, const Outcome& outcome) {
  if (outputs.stats) {
    const std::string text = stats_text(outcome);
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

Result<void> run(const RunOptions& options) {
  SPILLWAY_TRY(options.sampling.check());
  SPILLWAY_ASSIGN(Outputs outputs, open_outputs(options));
  SPILLWAY_ASSIGN(Session session, Session::open(options.model));
  SPILLWAY_ASSIGN(const std::vector<TokenId> prompt, prompt_tokens(session.model, options));
  const size_t limit = session.context_limit(options.model);
  SPILLWAY_ASSIGN(const size_t room, answer_room(prompt.size(), limit, options.max_tokens));
  const engine::RunLength length{prompt.size(), room, outputs.logits.has_value()};
  SPILLWAY_ASSIGN(const machine::Machine machine, session.machine(options.model));
  SPILLWAY_ASSIGN(engine::RunPlan plan, session.plan(length, machine));

  memory::Budget budget(memory::Tier::kHost, session.settings.host_budget_bytes);
  const engine::Context context = session.context(budget);
  const double started = session.platform->clock().seconds();
  SPILLWAY_ASSIGN(const auto engine, session.load(budget, std::move(plan)));
  const double load_seconds = session.platform->clock().seconds() - started;

  AnswerPrinter printer(session.model.tokenizer, prompt.back());
  engine::GenerateOptions generate;
  generate.max_tokens = options.max_tokens;
  generate.context = limit;
  generate.sampling = options.sampling;
  generate.ignore_end = options.ignore_end;
  generate.on_token = [&](TokenId id) { printer.print(id); };
  if (outputs.logits) {
    generate.on_logits = [&](std::span<const float> rows) {
      return outputs.logits->write(std::as_bytes(rows));
    };
  }
  SPILLWAY_ASSIGN(const engine::Generation generation,
                  engine::generate(*engine, context, session.model.tokenizer, prompt, generate));
  printer.finish();
  SPILLWAY_ASSIGN(const platform::HostMemory memory, session.platform->host_memory());
  const Outcome outcome{
      prompt, generation, *engine, budget, memory.process_peak_resident_bytes, load_seconds};
  const Result<void> written = finish_outputs(outputs, outcome);
  print_outcome(outcome);
  SPILLWAY_TRY(written);
  // print_outcome has said so already.
  if (generation.reason == engine::StopReason::kInterrupted)
    return fail(ErrorCode::kInterrupted, "{}", "");
  return {};
}

}  // namespace

void add_run(CLI::App& app, Action& chosen) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* command = app.add_subcommand("run", "answers a question");
  options->model.add_to(*command);
  command->add_option("PROMPT", options->prompt, "the question")->required();
  command->add_option("-n,--predict", options->max_tokens, "tokens of the answer, at most")
      ->check(CLI::Range(size_t{1}, size_t{1} << 24))
      ->capture_default_str();
  command->add_option("--system,-s", options->system, "a system message in front");
  command->add_flag("--raw", options->raw, "no chat template: the prompt as it is");
  command->add_flag("--ignore-eos", options->ignore_end, "go on behind the model's end tokens");
  engine::SamplingOptions& sampling = options->sampling;
  command->add_option("--temperature,--temp", sampling.temperature, "0: the likeliest token always")
      ->capture_default_str();
  command->add_option("--top-k", sampling.top_k, "the k likeliest tokens; 0: all")
      ->capture_default_str();
  command->add_option("--top-p", sampling.top_p, "the fewest tokens that reach p together")
      ->capture_default_str();
  command
      ->add_option("--min-p", sampling.min_p, "tokens at least p times as likely as the likeliest")
      ->capture_default_str();
  command->add_option("--repeat-penalty", sampling.repeat_penalty, "of the last 64 tokens; 1: none")
      ->capture_default_str();
  command->add_option("--seed", sampling.seed, "of the dice")->capture_default_str();
  command->add_option("--stats", options->stats, "what the run measured, as JSON")
      ->type_name("FILE");
  command->add_option("--dump-logits", options->logits, "float32 [positions, vocabulary]")
      ->type_name("FILE");
  command->callback([options, &chosen] { chosen = [options] { return run(*options); }; });
}

}  // namespace spillway::cli

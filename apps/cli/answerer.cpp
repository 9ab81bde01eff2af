#include "cli/answerer.h"

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/report.h"

namespace spillway::cli {
namespace {

void print(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

Speed decode_speed(const engine::Generation& g, const placement::Plan& plan) {
  // A pass that checks guesses makes several tokens of the bytes that the bound counts for one.
  const double per_pass =
      g.passes > 0 ? static_cast<double>(g.decoded) / static_cast<double>(g.passes) : 1;
  return {.tokens_per_second = g.passes > 0 ? static_cast<double>(g.decoded) / g.decode_seconds : 0,
          .bound_tokens_per_second = plan.prediction.bound_tokens_per_second * per_pass,
          .predicted_tokens_per_second = plan.prediction.tokens_per_second * per_pass,
          .tokens = g.decoded,
          .seconds = g.decode_seconds,
          .traffic = g.decode};
}

std::string prompt_text(const engine::Generation& g, size_t prompt_tokens) {
  const std::string reused = g.reused > 0 ? fmt::format(" ({} known)", g.reused) : "";
  return fmt::format("{} prompt tokens{} in {:.2f} s ({:.1f} tokens/s)", prompt_tokens, reused,
                     g.prefill_seconds,
                     static_cast<double>(prompt_tokens - g.reused) / g.prefill_seconds);
}

}  // namespace

Answerer::Answerer(Session session, const AnswerOptions& options)
    : session_(std::move(session)),
      options_(options),
      budget_(memory::Tier::kHost, session_.settings.host_budget_bytes) {}

Result<std::unique_ptr<Answerer>> Answerer::load(Session session, const ModelOptions& model_options,
                                                 const AnswerOptions& options, Length length) {
  SPILLWAY_ASSIGN(const machine::Machine machine, session.machine(model_options));
  auto answerer = std::unique_ptr<Answerer>(new Answerer(std::move(session), options));
  Answerer& a = *answerer;
  const engine::Context context = a.session_.context(a.budget_);
  if (!options.save_session.empty()) SPILLWAY_TRY(a.check_session_path(options.save_session));
  SPILLWAY_TRY(a.prepare_grammar());
  auto plan = a.plan(length.run, machine);
  while (!plan && plan.error().code == ErrorCode::kBudget && length.least_positions > 0 &&
         length.run.prompt_tokens / 2 >= length.least_positions) {
    length.run.prompt_tokens /= 2;
    plan = a.plan(length.run, machine);
  }
  if (!plan) return tl::make_unexpected(plan.error());
  const platform::Clock& clock = a.session_.platform->clock();
  const double started = clock.seconds();
  SPILLWAY_ASSIGN(a.engine_, a.session_.load(a.budget_, *std::move(plan)));
  if (!options.draft.empty()) {
    SPILLWAY_ASSIGN(a.drafter_,
                    engine::load_draft(context, a.draft_plan_, options.draft_least_probability));
  } else if (options.lookup > 0) {
    a.drafter_ = std::make_unique<engine::PromptLookup>();
  }
  a.load_seconds_ = clock.seconds() - started;
  return answerer;
}

Result<engine::RunPlan> Answerer::plan(engine::RunLength length, const machine::Machine& machine) {
  length.drafted_tokens = options_.drafted_tokens();
  if (options_.draft.empty()) return session_.plan(length, machine);
  const std::vector<placement::Charge> others = session_.settings.beside;
  SPILLWAY_ASSIGN(draft_plan_, engine::plan_draft(session_.context(budget_), options_.draft,
                                                  model(), session_.settings, length));
  for (placement::Charge& charge : draft_plan_.charges())
    session_.settings.beside.push_back(std::move(charge));
  auto plan = session_.plan(length, machine);
  session_.settings.beside = others;
  return plan;
}

// The constraint is made at once: what it takes is then no longer free for others.
Result<void> Answerer::prepare_grammar() {
  SPILLWAY_ASSIGN(grammar_, options_.parse_grammar());
  if (!grammar_) return {};
  const placement::Charge charge{
      memory::Tag::kOther, "grammar",
      grammar_->memory_bytes() + engine::GrammarConstraint::memory_bytes(model().tokenizer)};
  SPILLWAY_ASSIGN(constraint_charge_, budget_.reserve(charge.bytes, charge.tag, charge.name));
  session_.settings.beside.push_back(charge);
  constraint_ = std::make_unique<engine::GrammarConstraint>(*grammar_, model().tokenizer);
  return {};
}

Result<engine::Generation> Answerer::answer(std::span<const formats::TokenId> prompt,
                                            size_t max_tokens, const engine::OnLogits& on_logits) {
  engine::GenerateOptions generate;
  generate.max_tokens = max_tokens;
  generate.context = positions();
  generate.sampling = options_.sampling;
  generate.sampling.seed += answers_++;
  generate.stop = options_.stop;
  generate.ignore_end = options_.ignore_end;
  generate.on_text = print;
  generate.on_logits = on_logits;
  generate.drafter = drafter_.get();
  generate.drafted_tokens = options_.drafted_tokens();
  if (constraint_) {
    constraint_->begin(prompt.back());
    generate.constraint = constraint_.get();
  }
  text_.assign(prompt.begin(), prompt.end());
  auto generation = engine::generate(*engine_, session_.context(budget_), session_.model.tokenizer,
                                     prompt, generate);
  if (!generation) return generation;
  print("\n");
  text_.insert(text_.end(), generation->ids.begin(), generation->ids.end());
  return generation;
}

Result<engine::SessionFile> Answerer::open_session(const std::string& path) {
  return engine::SessionFile::open(*session_.platform, path, model(), session_.settings.kv);
}

// A wrong path is told before anything is computed.
Result<void> Answerer::check_session_path(const std::string& path) {
  std::error_code ignored;
  for (const std::string& model : {session_.model.file->info().path, options_.draft}) {
    if (!model.empty() && std::filesystem::equivalent(path, model, ignored))
      return fail(ErrorCode::kUsage, "{}: this is the model; it is not overwritten", path);
  }
  SPILLWAY_TRY(session_.platform->replace(path));
  return {};
}

Result<void> Answerer::restore(const engine::SessionFile& session) {
  SPILLWAY_TRY(session.restore(*engine_));
  text_ = session.text().tokens;
  return {};
}

Result<void> Answerer::save(const std::string& path, const std::string& note) {
  if (text_.empty()) return fail(ErrorCode::kUsage, "there is nothing to save yet");
  SPILLWAY_TRY(check_session_path(path));
  return engine::save_session(*session_.platform, path, model(), *engine_,
                              {.tokens = text_, .note = note});
}

double Answerer::load_seconds() const {
  return load_seconds_ + engine_->traffic().loading_seconds;
}

Result<std::string> Answerer::summary(const engine::Generation& g, size_t prompt_tokens) const {
  SPILLWAY_ASSIGN(const platform::HostMemory memory, session_.platform->host_memory());
  std::string text = fmt::format("{}, loaded in {:.2f} s ({}), {} tokens, ended by: {}\n",
                                 prompt_text(g, prompt_tokens), load_seconds(),
                                 engine_->mapped() ? "mapped" : "read", g.ids.size(),
                                 engine::stop_reason_name(g.reason));
  if (g.reason == engine::StopReason::kContextFull) {
    text += "the context is full; a larger --context may be given\n";
  }
  if (g.drafted > 0) {
    text += fmt::format("{} of {} guessed tokens were right; {} passes for {} tokens\n", g.accepted,
                        g.drafted, g.passes, g.decoded);
  }
  text += peak_line(budget_, memory.process_peak_resident_bytes) + "\n";
  return text + speed_line(decode_speed(g, engine_->plan())) + "\n";
}

Result<nlohmann::ordered_json> Answerer::statistics(
    const engine::Generation& g, std::span<const formats::TokenId> prompt) const {
  SPILLWAY_ASSIGN(const platform::HostMemory memory, session_.platform->host_memory());
  nlohmann::ordered_json json = {
      {"prompt_token_ids", prompt},
      {"token_ids", g.ids},
      {"stop_reason", engine::stop_reason_name(g.reason)},
      {"reused_tokens", g.reused},
      {"passes", g.passes},
      {"drafted_tokens", g.drafted},
      {"accepted_tokens", g.accepted},
      {"load_seconds", load_seconds()},
      {"prefill_seconds", g.prefill_seconds},
      {"prefill_bytes_by_tier", {{"host", g.prefill.host_bytes}, {"disk", g.prefill.disk_bytes}}},
      {"peak_host_bytes", budget_.usage().peak_bytes},
      {"process_peak_bytes", memory.process_peak_resident_bytes},
      {"mapped", engine_->mapped()},
      {"read_method", engine_->read_method()}};
  json.update(speed_json(decode_speed(g, engine_->plan())));
  json["budget"] = budget_json(budget_);
  json["plan"] = placement::to_json(engine_->plan());
  return json;
}

}  // namespace spillway::cli

#include "engine/generate.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "engine/answer_text.h"

namespace spillway::engine {

std::string_view stop_reason_name(StopReason reason) {
  switch (reason) {
    case StopReason::kEndToken:
      return "end";
    case StopReason::kLength:
      return "length";
    case StopReason::kContextFull:
      return "context";
    case StopReason::kInterrupted:
      return "interrupted";
    case StopReason::kStopString:
      return "stop string";
    case StopReason::kComplete:
      return "grammar";
  }
  return "";
}

namespace {

using formats::TokenId;

// Weights that are broken make logits that are not numbers; nothing can be chosen from those.
Result<void> check_numbers(std::span<const float> logits) {
  if (std::any_of(logits.begin(), logits.end(), [](float x) { return std::isfinite(x); }))
    return {};
  return fail(ErrorCode::kBadFile,
              "none of the model's {} logits is a number: its weights are broken", logits.size());
}

// One answer under way.
class Answer {
 public:
  Answer(Engine& engine, const formats::Tokenizer& tokenizer, std::span<const TokenId> prompt,
         const GenerateOptions& options)
      : engine_(engine),
        tokenizer_(tokenizer),
        options_(options),
        sampler_(options.sampling),
        text_(tokenizer, prompt.back(), options.stop),
        tokens_(prompt.begin(), prompt.end()) {
    for (const TokenId id : prompt) sampler_.accept_prompt(id);
  }

  // Chooses the next token from logits that follow the text. False: it was the last one.
  Result<bool> take(std::span<const float> logits);
  // One pass over the last token and what may follow it, and the tokens that come of it. False: the
  // answer ends.
  Result<bool> step();
  Generation finish();

 private:
  bool ends(TokenId id);
  void print(const std::string& text);
  Result<std::vector<TokenId>> draft();

  Engine& engine_;
  const formats::Tokenizer& tokenizer_;
  const GenerateOptions& options_;
  Sampler sampler_;
  AnswerText text_;
  std::vector<TokenId> tokens_;  // the prompt's and the answer's
  Generation result_;
};

void Answer::print(const std::string& text) {
  if (text.empty()) return;
  if (options_.on_text) options_.on_text(text);
  result_.text += text;
}

Result<bool> Answer::take(std::span<const float> logits) {
  SPILLWAY_TRY(check_numbers(logits));
  // Rows behind the vocabulary are padding.
  SPILLWAY_ASSIGN(const TokenId id,
                  sampler_.choose(logits.first(tokenizer_.size()), options_.constraint));
  sampler_.accept(id);
  tokens_.push_back(id);
  result_.ids.push_back(id);
  if (tokenizer_.is_end(id) && !options_.ignore_end) {
    result_.reason = StopReason::kEndToken;
    return false;
  }
  if (options_.constraint != nullptr) SPILLWAY_TRY(options_.constraint->accept(id));
  if (options_.on_token) options_.on_token(id);
  print(text_.push(id));
  return !ends(id);
}

bool Answer::ends(TokenId id) {
  const size_t positions = std::min(options_.context, engine_.shape().positions);
  if (text_.stopped()) {
    result_.reason = StopReason::kStopString;
  } else if (options_.constraint != nullptr && !tokenizer_.is_end(id) &&
             options_.constraint->finished()) {
    result_.reason = StopReason::kComplete;
  } else if (result_.ids.size() == options_.max_tokens) {
    result_.reason = StopReason::kLength;
  } else if (tokens_.size() > positions) {
    result_.reason = StopReason::kContextFull;
  } else {
    return false;
  }
  return true;
}

Result<std::vector<TokenId>> Answer::draft() {
  if (options_.drafter == nullptr) return std::vector<TokenId>();
  const size_t positions = std::min(options_.context, engine_.shape().positions);
  const size_t most =
      std::min({options_.drafted_tokens, engine_.shape().outputs - 1, positions - tokens_.size(),
                options_.max_tokens - result_.ids.size() - 1});
  SPILLWAY_ASSIGN(auto guess, options_.drafter->draft(tokens_, most));
  SPILLWAY_CHECK(guess.size() <= most);
  result_.drafted += guess.size();
  return guess;
}

Result<bool> Answer::step() {
  SPILLWAY_ASSIGN(std::vector<TokenId> batch, draft());
  batch.insert(batch.begin(), tokens_.back());
  SPILLWAY_ASSIGN(const auto logits, engine_.evaluate(batch, batch.size()));
  ++result_.passes;
  const size_t vocabulary = logits.size() / batch.size();
  for (size_t i = 0; i < batch.size(); ++i) {
    const auto row = logits.subspan(i * vocabulary, vocabulary);
    if (options_.on_logits) SPILLWAY_TRY(options_.on_logits(row));
    SPILLWAY_ASSIGN(const bool goes_on, take(row));
    ++result_.decoded;
    const bool guessed = i + 1 < batch.size() && batch[i + 1] == tokens_.back();
    if (guessed) ++result_.accepted;
    if (!goes_on || !guessed) {
      engine_.rewind(tokens_.size() - 1);
      return goes_on;
    }
  }
  return true;
}

Generation Answer::finish() {
  print(text_.finish());
  return std::move(result_);
}

}  // namespace

Result<Generation> generate(Engine& engine, const Context& context,
                            const formats::Tokenizer& tokenizer, std::span<const TokenId> prompt,
                            const GenerateOptions& options) {
  SPILLWAY_CHECK(!prompt.empty() && options.max_tokens > 0);
  const platform::Clock& clock = context.platform.clock();
  Answer answer(engine, tokenizer, prompt, options);
  const Traffic at_start = engine.traffic();
  const double started = clock.seconds();
  SPILLWAY_ASSIGN(const Prefilled prompted, prefill(engine, prompt, options.on_logits));
  const double prompt_done = clock.seconds();
  const Traffic after_prompt = engine.traffic();

  SPILLWAY_ASSIGN(bool goes_on, answer.take(prompted.logits));
  bool interrupted = false;
  while (goes_on) {
    const auto next = answer.step();
    interrupted = !next && next.error().code == ErrorCode::kInterrupted;
    if (!next && !interrupted) return tl::make_unexpected(next.error());
    goes_on = next.value_or(false);
  }
  Generation result = answer.finish();
  if (interrupted) result.reason = StopReason::kInterrupted;
  result.reused = prompted.reused;
  result.decode_seconds = clock.seconds() - prompt_done;
  result.prefill = after_prompt - at_start;
  result.prefill_seconds = prompt_done - started - result.prefill.loading_seconds;
  result.decode = engine.traffic() - after_prompt;
  return result;
}

}  // namespace spillway::engine

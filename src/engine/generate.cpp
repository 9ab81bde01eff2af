#include "engine/generate.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

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
  }
  return "";
}

namespace {

Result<void> pass_on(std::span<const float> logits, const GenerateOptions& options) {
  return options.on_logits ? options.on_logits(logits) : Result<void>();
}

// The prompt in chunks; returns the logits of its last token.
Result<std::span<const float>> prefill(Engine& engine, std::span<const formats::TokenId> prompt,
                                       const GenerateOptions& options) {
  std::span<const float> logits;
  size_t outputs = 0;
  while (!prompt.empty()) {
    const auto chunk = prompt.first(std::min(prompt.size(), engine.shape().chunk));
    prompt = prompt.subspan(chunk.size());
    outputs = options.on_logits ? chunk.size() : (prompt.empty() ? 1 : 0);
    SPILLWAY_ASSIGN(logits, engine.evaluate(chunk, outputs));
    SPILLWAY_TRY(pass_on(logits, options));
  }
  return logits.last(logits.size() / outputs);
}

// Weights that are broken make logits that are not numbers; nothing can be chosen from those.
Result<void> check_numbers(std::span<const float> logits) {
  if (std::any_of(logits.begin(), logits.end(), [](float x) { return std::isfinite(x); }))
    return {};
  return fail(ErrorCode::kBadFile,
              "none of the model's {} logits is a number: its weights are broken", logits.size());
}

}  // namespace

Result<Generation> generate(Engine& engine, const Context& context,
                            const formats::Tokenizer& tokenizer,
                            std::span<const formats::TokenId> prompt,
                            const GenerateOptions& options) {
  SPILLWAY_CHECK(!prompt.empty() && prompt.size() <= engine.shape().positions);
  const platform::Clock& clock = context.platform.clock();
  Sampler sampler(options.sampling);
  for (const formats::TokenId id : prompt) sampler.accept(id);
  Generation result;
  const Traffic at_start = engine.traffic();
  const double started = clock.seconds();
  SPILLWAY_ASSIGN(std::span<const float> logits, prefill(engine, prompt, options));
  const double prompt_done = clock.seconds();
  const Traffic after_prompt = engine.traffic();

  while (result.ids.size() < options.max_tokens) {
    SPILLWAY_TRY(check_numbers(logits));
    // Rows behind the vocabulary are padding.
    const formats::TokenId id = sampler.choose(logits.first(tokenizer.size()));
    sampler.accept(id);
    result.ids.push_back(id);
    if (tokenizer.is_end(id) && !options.ignore_end) {
      result.reason = StopReason::kEndToken;
      break;
    }
    if (options.on_token) options.on_token(id);
    if (result.ids.size() == options.max_tokens) break;
    if (engine.position() >= std::min(options.context, engine.shape().positions)) {
      result.reason = StopReason::kContextFull;
      break;
    }
    auto next = engine.evaluate(std::span(&id, 1), 1);
    if (!next && next.error().code == ErrorCode::kInterrupted) {
      result.reason = StopReason::kInterrupted;
      break;
    }
    if (!next) return tl::make_unexpected(next.error());
    logits = *next;
    ++result.passes;
    SPILLWAY_TRY(pass_on(logits, options));
  }
  result.prefill_seconds = prompt_done - started;
  result.decode_seconds = clock.seconds() - prompt_done;
  result.prefill = after_prompt - at_start;
  result.decode = engine.traffic() - after_prompt;
  return result;
}

}  // namespace spillway::engine

// A request: a prompt goes in, tokens come out until something ends it. One thread.
#pragma once

#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "engine/sampler.h"

namespace spillway::engine {

enum class StopReason {
  kEndToken,     // the model ended its turn
  kLength,       // as many tokens as were asked for
  kContextFull,  // the context has no position left
  kInterrupted   // the user stopped it
};
std::string_view stop_reason_name(StopReason reason);  // "end", "length", "context", "interrupted"

struct GenerateOptions {
  size_t max_tokens = 128;
  size_t context = 0;  // positions; at least one more than the prompt has tokens
  SamplingOptions sampling;
  std::function<void(formats::TokenId)> on_token;  // end tokens are not passed
  // Logits of every evaluated position in order: [positions, vocabulary]; an error ends
  // the run.
  std::function<Result<void>(std::span<const float>)> on_logits;
  bool ignore_end = false;
};

struct Generation {
  std::vector<formats::TokenId> ids;  // the answer, its end token included
  StopReason reason = StopReason::kLength;
  size_t passes = 0;  // of decoding: one less than tokens, if any
  double prefill_seconds = 0;
  double decode_seconds = 0;  // of the passes after the prompt's
  Traffic prefill;
  Traffic decode;
};

// Streams each weight once per chunk of the prompt, then once per token. An interruption is a
// reason once the first token is there, kInterrupted before.
Result<Generation> generate(Engine& engine, const Context& context,
                            const formats::Tokenizer& tokenizer,
                            std::span<const formats::TokenId> prompt,
                            const GenerateOptions& options);

}  // namespace spillway::engine

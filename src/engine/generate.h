// A request: a prompt goes in, tokens come out until something ends it. One thread.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/drafter.h"
#include "engine/engine.h"
#include "engine/prefill.h"
#include "engine/sampler.h"
#include "engine/token_constraint.h"

namespace spillway::engine {

enum class StopReason {
  kEndToken,     // the model ended its turn
  kLength,       // as many tokens as were asked for
  kContextFull,  // the context has no position left
  kInterrupted,  // the user stopped it
  kStopString,   // the text has come to one
  kComplete      // the constraint allows nothing more
};
// "end", "length", "context", "interrupted", "stop string", "grammar".
std::string_view stop_reason_name(StopReason reason);

struct GenerateOptions {
  size_t max_tokens = 128;
  size_t context = 0;  // positions; at least one more than the prompt has tokens
  SamplingOptions sampling = {};
  std::vector<std::string> stop = {};     // strings that end the answer and are no part of its text
  TokenConstraint* constraint = nullptr;  // of the answer, at its beginning
  Drafter* drafter = nullptr;
  size_t drafted_tokens = 0;  // that it guesses for one pass, at most; the engine's shape has a say
  std::function<void(formats::TokenId)> on_token = {};  // end tokens are not passed
  // The answer's text as it becomes certain: whole characters, nothing of a stop string.
  std::function<void(std::string_view)> on_text = {};
  OnLogits on_logits = {};  // of every evaluated position that the text has
  bool ignore_end = false;
};

struct Generation {
  std::vector<formats::TokenId> ids;  // the answer, its end token and stop string included
  std::string text;                   // all that on_text got
  StopReason reason = StopReason::kLength;
  size_t reused = 0;           // tokens of the prompt that the engine's sequence began with already
  size_t passes = 0;           // of decoding
  size_t decoded = 0;          // tokens of these passes
  size_t drafted = 0;          // tokens that were guessed
  size_t accepted = 0;         // of them, those that the model chose as well
  double prefill_seconds = 0;  // without waiting for weights that were still loading
  double decode_seconds = 0;   // of the passes after the prompt's
  Traffic prefill;
  Traffic decode;
};

// Streams each weight once per chunk of the prompt, then once per token, or per token and its
// guesses. What the prompt has in common with the beginning of the engine's sequence is not
// evaluated again. Afterwards the engine's sequence is the prompt and the answer without its last
// token. An interruption is a reason once the first token is there, kInterrupted before.
Result<Generation> generate(Engine& engine, const Context& context,
                            const formats::Tokenizer& tokenizer,
                            std::span<const formats::TokenId> prompt,
                            const GenerateOptions& options);

}  // namespace spillway::engine

// Brings an engine's sequence to a given text. Functions; the engine's thread.
#pragma once

#include <functional>
#include <span>

#include "engine/engine.h"

namespace spillway::engine {

// Logits of evaluated positions, in order: [positions, vocabulary]. An error ends the run.
using OnLogits = std::function<Result<void>(std::span<const float>)>;

struct Prefilled {
  size_t reused = 0;              // tokens that the sequence began with already
  std::span<const float> logits;  // of the last token: [vocabulary]
};

// Evaluates `text` (not empty) in chunks, less what its beginning has in common with the engine's
// sequence; the rest of that is forgotten. At least the last token is evaluated. With `on_logits`
// all evaluated positions give logits.
Result<Prefilled> prefill(Engine& engine, std::span<const formats::TokenId> text,
                          const OnLogits& on_logits = {});

}  // namespace spillway::engine

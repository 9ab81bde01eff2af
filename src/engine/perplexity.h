// Perplexity of a text, by llama.cpp's protocol: the text's tokens in chunks of a context, each
// evaluated alone, the second half of its positions scored; BOS in place of each chunk's first
// token where the model has one. One thread.
#pragma once

#include <functional>
#include <span>

#include "engine/engine.h"

namespace spillway::engine {

struct Perplexity {
  size_t chunks = 0;
  size_t scored = 0;          // tokens
  double mean_nll = 0;        // nats a token
  double standard_error = 0;  // of mean_nll

  double value() const;
};

struct PerplexityOptions {
  size_t context = 512;
  size_t chunks = 0;  // 0: as many as the text has
  std::function<void(const Perplexity&)> on_chunk;
};

// The engine's shape holds `context` positions with logits for each token of a pass. kUsage: the
// text is shorter than one chunk.
Result<Perplexity> measure_perplexity(Engine& engine, const formats::Tokenizer& tokenizer,
                                      std::span<const formats::TokenId> text,
                                      const PerplexityOptions& options);

}  // namespace spillway::engine

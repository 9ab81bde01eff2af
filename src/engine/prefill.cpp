#include "engine/prefill.h"

#include <algorithm>

#include "base/check.h"

namespace spillway::engine {

Result<Prefilled> prefill(Engine& engine, std::span<const formats::TokenId> text,
                          const OnLogits& on_logits) {
  SPILLWAY_CHECK(!text.empty() && text.size() <= engine.shape().positions);
  const auto& known = engine.tokens();
  const auto common = std::mismatch(known.begin(), known.end(), text.begin(), text.end() - 1);
  engine.rewind(static_cast<size_t>(common.first - known.begin()));
  const size_t reused = engine.position();
  text = text.subspan(reused);
  std::span<const float> logits;
  size_t outputs = 0;
  while (!text.empty()) {
    const auto chunk = text.first(std::min(text.size(), engine.shape().chunk));
    text = text.subspan(chunk.size());
    outputs = on_logits ? chunk.size() : (text.empty() ? 1 : 0);
    SPILLWAY_ASSIGN(logits, engine.evaluate(chunk, outputs));
    if (on_logits) SPILLWAY_TRY(on_logits(logits));
  }
  return Prefilled{reused, logits.last(logits.size() / outputs)};
}

}  // namespace spillway::engine

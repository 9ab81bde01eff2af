#include "engine/perplexity.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace spillway::engine {
namespace {

constexpr size_t kLeastContext = 4;

// −log softmax(logits)[token]
double negative_log_likelihood(std::span<const float> logits, formats::TokenId token) {
  const double highest = static_cast<double>(*std::max_element(logits.begin(), logits.end()));
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - highest);
  return std::log(sum) + highest - static_cast<double>(logits[static_cast<size_t>(token)]);
}

struct Sums {
  size_t count = 0;
  double total = 0;
  double squares = 0;

  void add(double value) {
    ++count;
    total += value;
    squares += value * value;
  }
};

// Evaluates one chunk and scores positions [context / 2, context − 1).
Result<void> score_chunk(Engine& engine, std::span<const formats::TokenId> ids, Sums& sums) {
  engine.rewind(0);
  const size_t first_scored = ids.size() / 2;
  for (size_t at = 0; at < ids.size();) {
    const size_t count = std::min(engine.shape().chunk, ids.size() - at);
    // Only scored positions need logits.
    const size_t end = at + count;
    const size_t outputs = end <= first_scored ? 0 : std::min(count, end - first_scored);
    SPILLWAY_ASSIGN(const auto logits, engine.evaluate(ids.subspan(at, count), outputs));
    const size_t vocabulary = outputs == 0 ? 0 : logits.size() / outputs;
    for (size_t i = 0; i < outputs; ++i) {
      const size_t position = end - outputs + i;
      if (position + 1 >= ids.size()) break;
      sums.add(
          negative_log_likelihood(logits.subspan(i * vocabulary, vocabulary), ids[position + 1]));
    }
    at = end;
  }
  return {};
}

}  // namespace

double Perplexity::value() const {
  return std::exp(mean_nll);
}

Result<Perplexity> measure_perplexity(Engine& engine, const formats::Tokenizer& tokenizer,
                                      std::span<const formats::TokenId> text,
                                      const PerplexityOptions& options) {
  if (options.context < kLeastContext) {
    return fail(ErrorCode::kUsage, "a context of {} scores nothing; it takes {}", options.context,
                kLeastContext);
  }
  const size_t available = text.size() / options.context;
  if (available == 0) {
    return fail(ErrorCode::kUsage, "the text has {} tokens; one chunk takes {} (--context)",
                text.size(), options.context);
  }
  const size_t chunks = options.chunks == 0 ? available : std::min(options.chunks, available);
  Sums sums;
  Perplexity result;
  std::vector<formats::TokenId> ids;
  for (size_t i = 0; i < chunks; ++i) {
    const auto chunk = text.subspan(i * options.context, options.context);
    ids.assign(chunk.begin(), chunk.end());
    if (tokenizer.add_bos() && tokenizer.bos()) ids[0] = *tokenizer.bos();
    SPILLWAY_TRY(score_chunk(engine, ids, sums));
    const auto count = static_cast<double>(sums.count);
    result = {.chunks = i + 1, .scored = sums.count, .mean_nll = sums.total / count};
    const double variance = sums.squares / count - result.mean_nll * result.mean_nll;
    result.standard_error = std::sqrt(std::max(variance, 0.0) / count);
    if (options.on_chunk) options.on_chunk(result);
  }
  return result;
}

}  // namespace spillway::engine

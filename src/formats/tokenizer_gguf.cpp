#include "formats/tokenizer_gguf.h"

#include <algorithm>
#include <span>
#include <vector>

#include "formats/tokenizer_cuts.h"
#include "formats/tokenizer_json_steps.h"

namespace spillway::formats {
namespace {

constexpr std::string_view kSpace = "\xE2\x96\x81";  // ▁, SentencePiece's

std::string key_of(std::string_view name) {
  return fmt::format("tokenizer.ggml.{}", name);
}

bool same_step(const SplitStep& a, const SplitStep& b) {
  return a.pattern == b.pattern && a.behavior == b.behavior && a.invert == b.invert;
}

Result<std::string_view> name_of_cut(const std::vector<SplitStep>& steps) {
  for (const SpelledCut& cut : spelled_cuts()) {
    const Json spelled = cut.pre_tokenizer();
    SPILLWAY_ASSIGN(const PreTokenizerSteps known, read_pre_tokenizer(&spelled));
    if (std::ranges::equal(known.splits, steps, same_step)) return cut.name;
  }
  return fail(ErrorCode::kBadFile,
              "the tokenizer cuts text in a way that GGUF has no name for; converted are {}",
              spelled_cut_names());
}

// All that byte-level BPE does to text in GGUF is cutting it; that Qwen's is composed first is left
// out by llama.cpp, too.
Result<std::string_view> cut_name(const TokenizerDescription& d) {
  const bool composes = std::ranges::all_of(
      d.normalizer, [](const TextStep& step) { return step.kind == TextStep::Kind::kNfc; });
  if (!composes || !d.preparation.empty()) {
    return fail(ErrorCode::kBadFile,
                "the tokenizer changes text before it cuts it, for which GGUF has no place");
  }
  return name_of_cut(d.splits);
}

// Spaces become ▁, and one goes in front: nothing else.
Result<void> check_sentence_piece(const TokenizerDescription& d) {
  for (const auto* steps : {&d.normalizer, &d.preparation}) {
    for (const TextStep& step : *steps) {
      const bool replaces = step.kind == TextStep::Kind::kReplace && step.from == " ";
      const bool prepends = step.kind == TextStep::Kind::kPrepend ||
                            step.kind == TextStep::Kind::kPrependOnce ||
                            step.kind == TextStep::Kind::kPrependAtStart;
      if ((replaces || prepends) && step.to == kSpace) continue;
      return fail(ErrorCode::kBadFile,
                  "the tokenizer changes text in a way for which GGUF has no place");
    }
  }
  return {};
}

// BPE takes the first pair of a list; SentencePiece, the pair whose token has the best score.
std::vector<float> scores_of_merges(const TokenizerDescription& d) {
  struct Made {
    std::string text;
    float score;
  };
  std::vector<Made> made;  // sorted, not hashed: a file could choose texts that collide
  for (size_t i = 0; i < d.merges.size(); ++i) {
    std::string whole(d.merges[i]);
    const size_t middle = whole.find(' ', 1);
    if (middle != std::string::npos) whole.erase(middle, 1);
    made.push_back({std::move(whole), -static_cast<float>(i)});
  }
  std::ranges::stable_sort(made, {}, &Made::text);  // of equal texts the best stays in front
  const float worst = -static_cast<float>(d.merges.size());
  std::vector<float> scores;
  for (size_t i = 0; i < d.tokens.size(); ++i) {
    const auto found = std::ranges::lower_bound(made, d.tokens[i], {}, &Made::text);
    const bool is_made = found != made.end() && found->text == d.tokens[i];
    scores.push_back(is_made ? found->score : worst);
  }
  return scores;
}

void add_vocabulary(const TokenizerDescription& d, size_t rows, GgufHeader& header) {
  StringArray tokens;
  std::vector<int32_t> types;
  for (size_t i = 0; i < rows; ++i) {
    const bool known = i < d.tokens.size();
    tokens.push_back(known ? std::string(d.tokens[i]) : fmt::format("[PAD{}]", i));
    const auto type = known ? TokenType::kNormal : TokenType::kUnused;
    types.push_back(known && !d.types.empty() ? static_cast<int32_t>(d.types[i])
                                              : static_cast<int32_t>(type));
  }
  header.add(key_of("tokens"), tokens);
  header.add(key_of("token_type"), std::span<const int32_t>(types));
}

void add_ids(const TokenizerDescription& d, GgufHeader& header) {
  const auto add = [&](std::string_view name, std::optional<TokenId> id) {
    if (id) header.add(key_of(fmt::format("{}_token_id", name)), static_cast<uint32_t>(*id));
  };
  add("bos", d.bos);
  add("eos", d.eos);
  add("eot", d.eot);
  add("unknown", d.unknown);
  header.add(key_of("add_bos_token"), d.add_bos);
  header.add(key_of("add_eos_token"), d.add_eos);
}

}  // namespace

Result<void> add_gguf_tokenizer(const TokenizerFolder& folder, size_t rows, GgufHeader& header) {
  const TokenizerDescription& d = folder.tokenizer;
  if (d.tokens.size() > rows) {
    return fail(ErrorCode::kBadFile,
                "the vocabulary has {} tokens, but the embedding table only {} rows",
                d.tokens.size(), rows);
  }
  if (d.model == "gpt2") {
    SPILLWAY_ASSIGN(const std::string_view pre, cut_name(d));
    header.add(key_of("model"), "gpt2");
    header.add(key_of("pre"), pre);
    header.add(key_of("merges"), d.merges);
  } else {
    SPILLWAY_TRY(check_sentence_piece(d));
    header.add(key_of("model"), "llama");
    header.add(key_of("pre"), "default");
    std::vector<float> scores = scores_of_merges(d);
    scores.resize(rows, -static_cast<float>(d.merges.size()));
    header.add(key_of("scores"), std::span<const float>(scores));
    header.add(key_of("add_space_prefix"), d.add_space_prefix);
  }
  add_vocabulary(d, rows, header);
  add_ids(d, header);
  if (folder.chat_template) header.add("tokenizer.chat_template", *folder.chat_template);
  return {};
}

}  // namespace spillway::formats

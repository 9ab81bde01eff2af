#include "formats/tokenizer_gguf.h"

#include <algorithm>
#include <numeric>
#include <span>
#include <vector>

#include "formats/tokenizer_cuts.h"
#include "formats/tokenizer_description.h"
#include "formats/tokenizer_json_steps.h"
#include "formats/tokenizer_regex.h"
#include "formats/tokenizer_spaces.h"

namespace spillway::formats {
namespace {

bool same_step(const SplitStep& a, const SplitStep& b) {
  return a.pattern == b.pattern && a.behavior == b.behavior && a.invert == b.invert;
}

Result<std::string_view> name_of_cut(const TokenizerDescription& d) {
  for (const SpelledCut& cut : spelled_cuts()) {
    const Json spelled = cut.pre_tokenizer();
    SPILLWAY_ASSIGN(const PreTokenizerSteps known, read_pre_tokenizer(&spelled));
    if (std::ranges::equal(known.splits, d.splits, same_step) &&
        cut.whole_words_first == d.whole_words_first) {
      return cut.name;
    }
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
  return name_of_cut(d);
}

// Spaces become ▁, one goes in front, and nothing is cut; what cannot be spelled becomes bytes.
Result<void> check_sentence_piece(const TokenizerDescription& d) {
  for (const auto* steps : {&d.normalizer, &d.preparation}) {
    for (const TextStep& step : *steps) {
      const bool replaces = step.kind == TextStep::Kind::kReplace && step.from == " ";
      const bool prepends = step.kind == TextStep::Kind::kPrepend ||
                            step.kind == TextStep::Kind::kPrependOnce ||
                            step.kind == TextStep::Kind::kPrependAtStart;
      if ((replaces || prepends) && step.to == kSpelledSpace) continue;
      return fail(ErrorCode::kBadFile,
                  "the tokenizer changes text in a way for which GGUF has no place");
    }
  }
  // Gemma's is cut at spaces, of which none are left by then.
  const bool cuts = std::ranges::any_of(
      d.splits, [](const SplitStep& step) { return step.pattern != quote_regex(" "); });
  if (cuts || (!d.splits.empty() && d.normalizer.empty())) {
    return fail(ErrorCode::kBadFile,
                "the tokenizer cuts text into words and is not byte-level, for which GGUF has no "
                "place");
  }
  constexpr ptrdiff_t kBytes = 256;
  if (std::ranges::count(d.types, static_cast<int64_t>(TokenType::kByte)) >= kBytes) return {};
  return fail(ErrorCode::kBadFile,
              "the tokenizer has no tokens for single bytes, which GGUF has to have");
}

// BPE takes the first pair of a list; SentencePiece, the pair whose token has the best score.
// Tokens that no merge makes have the worst.
std::vector<float> scores_of_merges(const TokenizerDescription& d) {
  std::vector<uint32_t> by_text(d.tokens.size());  // sorted, not hashed: texts could collide
  std::iota(by_text.begin(), by_text.end(), 0U);
  const auto text = [&](uint32_t id) { return d.tokens[id]; };
  std::ranges::stable_sort(by_text, {}, text);
  const float worst = -static_cast<float>(d.merges.size());
  std::vector<float> scores(d.tokens.size(), worst);
  for (size_t i = 0; i < d.merges.size(); ++i) {
    std::string whole(d.merges[i]);
    const size_t middle = whole.find(' ', 1);
    if (middle != std::string::npos) whole.erase(middle, 1);
    const auto found = std::ranges::lower_bound(by_text, std::string_view(whole), {}, text);
    if (found == by_text.end() || text(*found) != whole) continue;
    scores[*found] = std::max(scores[*found], -static_cast<float>(i));
  }
  return scores;
}

// Ids without a token get a name of their own: llama.cpp refuses to have two of the same.
void add_vocabulary(const TokenizerDescription& d, size_t rows, GgufHeader& header) {
  StringArray tokens;
  std::vector<int32_t> types;
  for (size_t i = 0; i < rows; ++i) {
    const bool known = i < d.tokens.size() && !d.tokens[i].empty();
    tokens.push_back(known ? std::string(d.tokens[i]) : fmt::format("[PAD{}]", i));
    types.push_back(
        static_cast<int32_t>(known ? d.types[i] : static_cast<int64_t>(TokenType::kUnused)));
  }
  header.add(gguf_tokenizer_key("tokens"), tokens);
  header.add(gguf_tokenizer_key("token_type"), std::span<const int32_t>(types));
}

// Of what ends a turn beside EOS, the first that readers do not know by its text.
std::optional<TokenId> end_of_turn(const TokenizerDescription& d) {
  const auto found = std::ranges::find_if(d.ends, [&](TokenId id) {
    return id != d.eos && !is_end_text(d.tokens[static_cast<size_t>(id)]);
  });
  return found == d.ends.end() ? d.eot : *found;
}

void add_ids(const TokenizerDescription& d, GgufHeader& header) {
  const auto add = [&](std::string_view name, std::optional<TokenId> id) {
    if (id)
      header.add(gguf_tokenizer_key(fmt::format("{}_token_id", name)), static_cast<uint32_t>(*id));
  };
  add("bos", d.bos);
  add("eos", d.eos);
  add("eot", end_of_turn(d));
  add("unknown", d.unknown);
  add("padding", d.padding);
  header.add(gguf_tokenizer_key("add_bos_token"), d.add_bos);
  header.add(gguf_tokenizer_key("add_eos_token"), d.add_eos);
}

}  // namespace

Result<void> add_gguf_tokenizer(TokenizerFolder folder, size_t rows, GgufHeader& header) {
  TokenizerDescription& d = folder.tokenizer;
  if (d.types.empty()) d.types.assign(d.tokens.size(), static_cast<int64_t>(TokenType::kNormal));
  SPILLWAY_TRY(keep_tokens_with_rows(d, rows));
  if (d.model == "gpt2") {
    SPILLWAY_ASSIGN(const std::string_view pre, cut_name(d));
    header.add(gguf_tokenizer_key("model"), "gpt2");
    header.add(gguf_tokenizer_key("pre"), pre);
    header.add(gguf_tokenizer_key("merges"), d.merges);
  } else {
    SPILLWAY_TRY(check_sentence_piece(d));
    if (d.unknown) {
      d.types[static_cast<size_t>(*d.unknown)] = static_cast<int64_t>(TokenType::kUnknown);
    }
    header.add(gguf_tokenizer_key("model"), "llama");
    header.add(gguf_tokenizer_key("pre"), "default");
    std::vector<float> scores = scores_of_merges(d);
    scores.resize(rows, -static_cast<float>(d.merges.size()));
    header.add(gguf_tokenizer_key("scores"), std::span<const float>(scores));
    header.add(gguf_tokenizer_key("add_space_prefix"), d.add_space_prefix);
  }
  add_vocabulary(d, rows, header);
  add_ids(d, header);
  if (folder.chat_template) header.add("tokenizer.chat_template", *folder.chat_template);
  return {};
}

}  // namespace spillway::formats

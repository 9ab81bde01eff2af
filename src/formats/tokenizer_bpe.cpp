// Byte-level BPE (GGUF model "gpt2"): words, their bytes as tokens, merges by rank.
#include <array>
#include <cstddef>

#include "formats/tokenizer_byte_map.h"
#include "formats/tokenizer_family.h"
#include "formats/tokenizer_merge.h"
#include "formats/tokenizer_pretokenizer.h"
#include "formats/tokenizer_tables.h"
#include "formats/tokenizer_utf8.h"

namespace spillway::formats {
namespace {

std::string spell_bytes(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) append_utf8(byte_to_code_point(static_cast<uint8_t>(byte)), text);
  return text;
}

class ByteLevelBpe final : public TokenizerFamily {
 public:
  ByteLevelBpe(const Vocabulary& vocabulary, PreTokenizer pre_tokenizer)
      : vocabulary_(vocabulary), pre_tokenizer_(std::move(pre_tokenizer)) {}

  Result<void> fill(const StringArray& merges);

  void encode(std::string_view text, std::vector<TokenId>& ids) const override;
  void decode(std::string_view token_text, std::string& out) const override;
  bool adds_space() const override { return false; }
  bool may_give_unknown() const override { return false; }
  size_t memory_bytes() const override {
    return sizeof(*this) + pre_tokenizer_.memory_bytes() + tokens_.memory_bytes() +
           merges_.memory_bytes();
  }

 private:
  Result<Merge> read_merge(const StringArray& merges, size_t rank) const;
  void encode_word(std::string_view word, MergeWork& work, std::vector<TokenId>& ids) const;

  const Vocabulary& vocabulary_;
  PreTokenizer pre_tokenizer_;
  TokenTable tokens_;  // empty unless whole words go first
  MergeTable merges_;
  std::array<TokenId, 256> byte_tokens_{};  // kNoToken where the vocabulary has none
};

Result<Merge> ByteLevelBpe::read_merge(const StringArray& merges, size_t rank) const {
  const std::string_view merge = merges[rank];
  // A part may begin with a space in old files, never be empty.
  const size_t space = merge.find(' ', 1);
  if (space == std::string_view::npos || space + 1 == merge.size())
    return fail(ErrorCode::kBadFile, "merge {} is '{}', which is not two parts with a space", rank,
                merge);
  const std::string_view left = merge.substr(0, space);
  const std::string_view right = merge.substr(space + 1);
  std::string both(left);
  both += right;
  const auto left_id = tokens_.find(vocabulary_, left);
  const auto right_id = tokens_.find(vocabulary_, right);
  const auto both_id = tokens_.find(vocabulary_, both);
  if (!left_id || !right_id || !both_id)
    return fail(ErrorCode::kBadFile, "merge {} is '{}', but '{}' is not in the vocabulary", rank,
                merge,
                !left_id    ? left
                : !right_id ? right
                            : std::string_view(both));
  return Merge{*left_id, *right_id, *both_id};
}

Result<void> ByteLevelBpe::fill(const StringArray& merges) {
  tokens_ = TokenTable(vocabulary_.size());
  for (size_t i = 0; i < vocabulary_.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    if (is_mergeable(vocabulary_.type(id))) tokens_.insert(vocabulary_, id);
  }
  for (size_t byte = 0; byte < byte_tokens_.size(); ++byte) {
    const char spelled = static_cast<char>(byte);
    byte_tokens_[byte] =
        tokens_.find(vocabulary_, spell_bytes(std::string_view(&spelled, 1))).value_or(kNoToken);
  }
  merges_ = MergeTable(merges.size());
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    SPILLWAY_ASSIGN(const Merge merge, read_merge(merges, rank));
    merges_.insert(merge);
  }
  if (!pre_tokenizer_.whole_words_first()) tokens_ = {};
  return {};
}

void ByteLevelBpe::encode(std::string_view text, std::vector<TokenId>& ids) const {
  WordCursor words(pre_tokenizer_, text);
  MergeWork work;
  for (std::string_view word = words.next(); !word.empty(); word = words.next())
    encode_word(word, work, ids);
}

void ByteLevelBpe::encode_word(std::string_view word, MergeWork& work,
                               std::vector<TokenId>& ids) const {
  if (pre_tokenizer_.whole_words_first()) {
    if (const auto id = tokens_.find(vocabulary_, spell_bytes(word))) {
      ids.push_back(*id);
      return;
    }
  }
  work.start_word(word.size());
  for (size_t i = 0; i < word.size(); ++i)
    work.push_back(i, byte_tokens_[static_cast<uint8_t>(word[i])]);
  const auto find_pair = [&](const Symbol& left, const Symbol& right,
                             size_t) -> std::optional<PairMerge> {
    const auto rank = merges_.find(left.id, right.id);
    if (!rank) return std::nullopt;
    return PairMerge{*rank, merges_[*rank].merged};
  };
  work.merge_all(word.size(), find_pair);
  // Some vocabularies lack bytes that text hardly ever has (SmolLM2: 21 of them). The models were
  // trained with those left out; an unknown token, which is often the end token, was never there.
  work.for_each(word.size(), [&](const Symbol& symbol, size_t) {
    if (symbol.id != kNoToken) ids.push_back(symbol.id);
  });
}

void ByteLevelBpe::decode(std::string_view token_text, std::string& out) const {
  while (!token_text.empty()) {
    const Utf8Sequence first = first_utf8(token_text);
    const std::string_view character = token_text.substr(0, first.size);
    const auto byte = first.state == Utf8State::kCharacter
                          ? code_point_to_byte(decode_utf8(character))
                          : std::nullopt;
    if (byte)
      out += static_cast<char>(*byte);
    else
      out += character;
    token_text.remove_prefix(first.size);
  }
}

}  // namespace

Result<std::unique_ptr<TokenizerFamily>> make_byte_level_bpe(const Vocabulary& vocabulary,
                                                             const TokenizerDescription& from) {
  SPILLWAY_ASSIGN(PreTokenizer pre_tokenizer, PreTokenizer::create(from.pre));
  auto family = std::make_unique<ByteLevelBpe>(vocabulary, std::move(pre_tokenizer));
  SPILLWAY_TRY(family->fill(from.merges));
  return family;
}

}  // namespace spillway::formats

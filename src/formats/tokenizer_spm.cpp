// SentencePiece-style BPE (GGUF model "llama"): characters, merged where the text of two neighbours
// is a token, the best score first; what is no token in the end becomes byte tokens. Spaces are
// spelled U+2581. Source: SentencePiece's BPE model.
#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <string>

#include "formats/tokenizer_family.h"
#include "formats/tokenizer_merge.h"
#include "formats/tokenizer_spaces.h"
#include "formats/tokenizer_tables.h"
#include "formats/tokenizer_utf8.h"

namespace spillway::formats {
namespace {

// Unsigned numbers in the order of the scores, best (highest) first, all below kNoMergeRank.
uint32_t rank_of_score(float score) {
  const auto bits = std::bit_cast<uint32_t>(score + 0.0F);  // -0 and 0 are one score
  const uint32_t ascending = bits >> 31 != 0 ? ~bits : bits | 0x80000000U;
  return ~ascending;
}

class SentencePieceBpe final : public TokenizerFamily {
 public:
  SentencePieceBpe(const Vocabulary& vocabulary, std::vector<float> scores, bool add_space,
                   std::optional<TokenId> unknown)
      : vocabulary_(vocabulary),
        scores_(std::move(scores)),
        tokens_(vocabulary.size()),
        add_space_(add_space),
        unknown_(unknown.value_or(kNoToken)) {
    byte_tokens_.fill(kNoToken);
    for (size_t i = 0; i < vocabulary.size(); ++i) add_token(static_cast<TokenId>(i));
  }

  void encode(std::string_view text, std::vector<TokenId>& ids) const override;
  void decode(std::string_view token_text, std::string& out) const override;
  bool adds_space() const override { return add_space_; }
  bool may_give_unknown() const override {
    return std::ranges::find(byte_tokens_, kNoToken) != byte_tokens_.end();
  }
  size_t memory_bytes() const override {
    return sizeof(*this) + scores_.capacity() * sizeof(float) + tokens_.memory_bytes();
  }

 private:
  void add_token(TokenId id);
  std::optional<TokenId> find(std::string_view text) const;
  void encode_word(std::string_view word, MergeWork& work, std::vector<TokenId>& ids) const;
  void fall_back(std::string_view character, std::vector<TokenId>& ids) const;

  const Vocabulary& vocabulary_;
  std::vector<float> scores_;
  TokenTable tokens_;
  size_t longest_token_ = 0;  // bytes
  bool words_are_apart_ = true;
  bool add_space_;
  TokenId unknown_;
  std::array<TokenId, 256> byte_tokens_{};
};

void SentencePieceBpe::add_token(TokenId id) {
  const std::string_view text = vocabulary_.text(id);
  const TokenType type = vocabulary_.type(id);
  if (type == TokenType::kByte) byte_tokens_[byte_of_token(text).value_or(0)] = id;
  if (!is_mergeable(type) || type == TokenType::kByte || text.empty()) return;
  tokens_.insert(vocabulary_, id);
  longest_token_ = std::max(longest_token_, text.size());
  if (has_inner_space(text)) words_are_apart_ = false;
}

std::optional<TokenId> SentencePieceBpe::find(std::string_view text) const {
  // Keeps the time linear: texts that grow without end are not even hashed.
  if (text.size() > longest_token_) return std::nullopt;
  return tokens_.find(vocabulary_, text);
}

void SentencePieceBpe::encode(std::string_view text, std::vector<TokenId>& ids) const {
  if (text.empty()) return;
  MergeWork work;
  std::string word(add_space_ ? kSpelledSpace : "");
  // The space in front belongs to the spaces or the word that follow.
  while (!text.empty()) {
    const size_t size = words_are_apart_ ? first_word_size(text) : text.size();
    for (const char byte : text.substr(0, size)) {
      if (byte == ' ')
        word += kSpelledSpace;
      else
        word += byte;
    }
    encode_word(word, work, ids);
    word.clear();
    text.remove_prefix(size);
  }
}

void SentencePieceBpe::encode_word(std::string_view word, MergeWork& work,
                                   std::vector<TokenId>& ids) const {
  work.start_word(word.size());
  for (size_t i = 0; i < word.size();) {
    const Utf8Sequence first = first_utf8(word.substr(i));
    work.push_back(i, kNoToken);
    i += first.state == Utf8State::kCharacter ? first.size : 1;
  }
  const auto find_pair = [&](const Symbol& left, const Symbol&,
                             size_t end) -> std::optional<PairMerge> {
    const auto merged = find(word.substr(left.begin, end - left.begin));
    if (!merged) return std::nullopt;
    return PairMerge{rank_of_score(scores_[static_cast<size_t>(*merged)]), *merged};
  };
  work.merge_all(word.size(), find_pair);
  work.for_each(word.size(), [&](const Symbol& symbol, size_t end) {
    const std::string_view text = word.substr(symbol.begin, end - symbol.begin);
    const auto id = symbol.id != kNoToken ? symbol.id : find(text).value_or(kNoToken);
    if (id != kNoToken)
      ids.push_back(id);
    else
      fall_back(text, ids);
  });
}

void SentencePieceBpe::fall_back(std::string_view character, std::vector<TokenId>& ids) const {
  if (character == kSpelledSpace) character = " ";
  const bool have_all = std::ranges::all_of(
      character, [&](char byte) { return byte_tokens_[static_cast<uint8_t>(byte)] != kNoToken; });
  if (have_all) {
    for (const char byte : character) ids.push_back(byte_tokens_[static_cast<uint8_t>(byte)]);
  } else if (unknown_ != kNoToken) {
    ids.push_back(unknown_);
  }
}

void SentencePieceBpe::decode(std::string_view token_text, std::string& out) const {
  while (!token_text.empty()) {
    const bool space = token_text.starts_with(kSpelledSpace);
    out += space ? ' ' : token_text.front();
    token_text.remove_prefix(space ? kSpelledSpace.size() : 1);
  }
}

}  // namespace

Result<std::unique_ptr<TokenizerFamily>> make_sentencepiece_bpe(const Vocabulary& vocabulary,
                                                                TokenizerDescription from) {
  return std::make_unique<SentencePieceBpe>(vocabulary, std::move(from.scores),
                                            from.add_space_prefix, from.unknown);
}

}  // namespace spillway::formats

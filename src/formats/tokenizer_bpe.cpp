// BPE by a list of merges: words, their bytes or characters as tokens, merges by rank. Byte-level
// (GGUF model "gpt2") spells bytes as characters; "bpe" falls back to byte tokens. Source: the
// tokenizers package's BPE model.
#include <algorithm>
#include <array>
#include <cstddef>

#include "formats/tokenizer_byte_map.h"
#include "formats/tokenizer_family.h"
#include "formats/tokenizer_merge.h"
#include "formats/tokenizer_pretokenizer.h"
#include "formats/tokenizer_spaces.h"
#include "formats/tokenizer_tables.h"
#include "formats/tokenizer_utf8.h"

namespace spillway::formats {
namespace {

std::string spell_bytes(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) append_utf8(byte_to_code_point(static_cast<uint8_t>(byte)), text);
  return text;
}

class MergeListBpe final : public TokenizerFamily {
 public:
  MergeListBpe(const Vocabulary& vocabulary, PreTokenizer pre_tokenizer,
               const TokenizerDescription& from)
      : vocabulary_(vocabulary),
        pre_tokenizer_(std::move(pre_tokenizer)),
        byte_level_(from.model == "gpt2"),
        whole_words_first_(from.whole_words_first),
        add_space_(!byte_level_ && from.add_space_prefix),
        fuse_unknown_(from.fuse_unknown),
        unknown_(byte_level_ && !from.unknown_bytes ? kNoToken : from.unknown.value_or(kNoToken)) {}

  Result<void> fill(const StringArray& merges);

  void encode(std::string_view text, std::vector<TokenId>& ids) const override;
  void decode(std::string_view token_text, std::string& out) const override;
  bool adds_space() const override { return add_space_; }
  bool may_give_unknown() const override {
    return unknown_ != kNoToken && std::ranges::find(byte_tokens_, kNoToken) != byte_tokens_.end();
  }
  size_t memory_bytes() const override {
    return sizeof(*this) + pre_tokenizer_.memory_bytes() + tokens_.memory_bytes() +
           merges_.memory_bytes();
  }

 private:
  void add_tokens();
  Result<void> add_merge(const StringArray& merges, size_t rank);
  void encode_word(std::string_view word, MergeWork& work, std::vector<TokenId>& ids) const;
  void start_with_bytes(std::string_view word, MergeWork& work) const;
  void start_with_characters(std::string_view word, MergeWork& work) const;
  bool start_with_byte_tokens(std::string_view character, size_t begin, MergeWork& work) const;

  const Vocabulary& vocabulary_;
  PreTokenizer pre_tokenizer_;
  const bool byte_level_, whole_words_first_, add_space_, fuse_unknown_;
  const TokenId unknown_;
  bool words_are_apart_ = false;
  TokenTable tokens_;  // empty where nothing is looked up by its text
  MergeTable merges_;
  std::array<TokenId, 256> byte_tokens_{};  // kNoToken where the vocabulary has none
};

void MergeListBpe::add_tokens() {
  tokens_ = TokenTable(vocabulary_.size());
  byte_tokens_.fill(kNoToken);
  words_are_apart_ = !byte_level_;
  for (size_t i = 0; i < vocabulary_.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    const TokenType type = vocabulary_.type(id);
    const std::string_view text = vocabulary_.text(id);
    if (type == TokenType::kByte) byte_tokens_[byte_of_token(text).value_or(0)] = id;
    if (is_mergeable(type) && type != TokenType::kByte) tokens_.insert(vocabulary_, id);
    if (words_are_apart_ && has_inner_space(text)) words_are_apart_ = false;
  }
  if (!byte_level_) return;
  for (size_t byte = 0; byte < byte_tokens_.size(); ++byte) {
    const char spelled = static_cast<char>(byte);
    byte_tokens_[byte] =
        tokens_.find(vocabulary_, spell_bytes(std::string_view(&spelled, 1))).value_or(kNoToken);
  }
}

Result<void> MergeListBpe::add_merge(const StringArray& merges, size_t rank) {
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
  merges_.insert(Merge{*left_id, *right_id, *both_id});
  return {};
}

Result<void> MergeListBpe::fill(const StringArray& merges) {
  add_tokens();
  merges_ = MergeTable(merges.size());
  for (size_t rank = 0; rank < merges.size(); ++rank) SPILLWAY_TRY(add_merge(merges, rank));
  if (byte_level_ && !whole_words_first_) tokens_ = {};
  return {};
}

void MergeListBpe::encode(std::string_view text, std::vector<TokenId>& ids) const {
  WordCursor words(pre_tokenizer_, text);
  MergeWork work;
  for (std::string_view word = words.next(); !word.empty(); word = words.next()) {
    if (whole_words_first_) {
      const auto id =
          tokens_.find(vocabulary_, byte_level_ ? spell_bytes(word) : std::string(word));
      if (id) {
        ids.push_back(*id);
        continue;
      }
    }
    while (!word.empty()) {
      const size_t size = words_are_apart_ ? first_word_size(word) : word.size();
      encode_word(word.substr(0, size), work, ids);
      word.remove_prefix(size);
    }
  }
}

void MergeListBpe::start_with_bytes(std::string_view word, MergeWork& work) const {
  bool after_unknown = false;
  for (size_t i = 0; i < word.size(); ++i) {
    const TokenId id = byte_tokens_[static_cast<uint8_t>(word[i])];
    const bool known = id != kNoToken;
    if (known || !after_unknown || !fuse_unknown_) work.push_back(i, known ? id : unknown_);
    after_unknown = !known;
  }
}

bool MergeListBpe::start_with_byte_tokens(std::string_view character, size_t begin,
                                          MergeWork& work) const {
  for (const char byte : character)
    if (byte_tokens_[static_cast<uint8_t>(byte)] == kNoToken) return false;
  for (size_t i = 0; i < character.size(); ++i)
    work.push_back(begin + i, byte_tokens_[static_cast<uint8_t>(character[i])]);
  return true;
}

void MergeListBpe::start_with_characters(std::string_view word, MergeWork& work) const {
  bool after_unknown = false;
  for (size_t i = 0; i < word.size();) {
    const Utf8Sequence first = first_utf8(word.substr(i));
    const size_t size = first.state == Utf8State::kCharacter ? first.size : 1;
    const std::string_view character = word.substr(i, size);
    const auto id = tokens_.find(vocabulary_, character);
    const bool known = id || start_with_byte_tokens(character, i, work);
    if (id) work.push_back(i, *id);
    if (!known && !(after_unknown && fuse_unknown_)) work.push_back(i, unknown_);
    after_unknown = !known;
    i += size;
  }
}

void MergeListBpe::encode_word(std::string_view word, MergeWork& work,
                               std::vector<TokenId>& ids) const {
  work.start_word(word.size());
  if (byte_level_)
    start_with_bytes(word, work);
  else
    start_with_characters(word, work);
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

void MergeListBpe::decode(std::string_view token_text, std::string& out) const {
  while (!token_text.empty()) {
    const Utf8Sequence first = first_utf8(token_text);
    const std::string_view character = token_text.substr(0, first.size);
    token_text.remove_prefix(first.size);
    if (!byte_level_) {
      out += character == kSpelledSpace ? " " : character;
      continue;
    }
    const auto byte = first.state == Utf8State::kCharacter
                          ? code_point_to_byte(decode_utf8(character))
                          : std::nullopt;
    if (byte)
      out += static_cast<char>(*byte);
    else
      out += character;
  }
}

}  // namespace

Result<std::unique_ptr<TokenizerFamily>> make_merge_list_bpe(const Vocabulary& vocabulary,
                                                             const TokenizerDescription& from) {
  SPILLWAY_ASSIGN(PreTokenizer pre_tokenizer, PreTokenizer::create(from.splits));
  auto family = std::make_unique<MergeListBpe>(vocabulary, std::move(pre_tokenizer), from);
  SPILLWAY_TRY(family->fill(from.merges));
  return family;
}

}  // namespace spillway::formats

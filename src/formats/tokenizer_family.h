// What differs between the families of tokenizers: how text between special tokens becomes ids,
// and how a token's text becomes bytes. Owned by the Tokenizer; const members are thread-safe.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/tokenizer_vocabulary.h"

namespace spillway::formats {

class TokenizerFamily {
 public:
  virtual ~TokenizerFamily() = default;
  // Appends the ids of `text`, which stands at the start or between special tokens.
  virtual void encode(std::string_view text, std::vector<TokenId>& ids) const = 0;
  // Appends the bytes of a normal token.
  virtual void decode(std::string_view token_text, std::string& out) const = 0;
  // encode() puts a space in front of every text that decode must take away again.
  virtual bool adds_space() const = 0;
  // encode() may give the unknown token, for text that is no token and has no bytes for it.
  virtual bool may_give_unknown() const = 0;
  virtual size_t memory_bytes() const = 0;
};

// Both keep a reference to `vocabulary`, which must stay where it is.
// kBadFile: a pattern that cannot be read, or a merge that names no tokens.
Result<std::unique_ptr<TokenizerFamily>> make_merge_list_bpe(const Vocabulary& vocabulary,
                                                             const TokenizerDescription& from);
Result<std::unique_ptr<TokenizerFamily>> make_sentencepiece_bpe(const Vocabulary& vocabulary,
                                                                TokenizerDescription from);

// The byte of a token text "<0xNN>", if it is one.
std::optional<uint8_t> byte_of_token(std::string_view text);
// Tokens that text may become by merging: special tokens are only parsed, never put together.
bool is_mergeable(TokenType type);

}  // namespace spillway::formats

// Text to token ids and back, exactly as the model was trained. Three families: byte-level BPE
// (GGUF model "gpt2") with pre-tokenizer patterns, SentencePiece's BPE by scores (GGUF model
// "llama") with byte fallback, and BPE over characters by a list of merges ("bpe"), which is how
// tokenizer.json spells SentencePiece's. Immutable once made; const members are thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/gguf.h"
#include "formats/tokenizer_steps.h"

namespace spillway::formats {

using TokenId = int32_t;

// GGUF's tokenizer.ggml.token_type.
enum class TokenType : int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

// What a tokenizer is made of, however the file spells it.
struct TokenizerDescription {
  std::string model;  // "gpt2", "llama" or "bpe"
  StringArray tokens;
  std::vector<float> scores;   // "llama": one per token; else empty
  std::vector<int64_t> types;  // TokenType; one per token, or empty: all normal
  StringArray merges;          // "gpt2", "bpe": "left right", best first
  // "gpt2", "bpe": a word that is a token is that token, whatever the merges say.
  bool whole_words_first = false;
  std::optional<TokenId> bos, eos, eot, unknown;
  std::optional<TokenId> padding;  // kept for files that are written; nothing here asks for it
  std::vector<TokenId> ends;       // what ends a turn beside EOS and EOT
  bool add_bos = false;
  bool add_eos = false;
  // Spaces that stand in front of text only in tokens: "llama" puts them there itself, "bpe" has
  // steps that do, and decoding takes them away.
  bool add_space_prefix = true;
  // What the vocabulary cannot spell is the unknown token ("bpe"; "gpt2" leaves it out, unless
  // unknown_bytes), in a row only once if fuse_unknown.
  bool unknown_bytes = false;
  bool fuse_unknown = false;

  // In this order: what is said of special tokens that are not just their own text, changes of the
  // text between those, changes after the `normalized` ones were found, cuts ("gpt2", "bpe").
  std::vector<AddedTokenRule> added;
  std::vector<TextStep> normalizer;
  std::vector<TextStep> preparation;
  std::vector<SplitStep> splits;
};

// Takes the vocabulary out of the file's metadata (it is then held once). kBadFile: arrays of
// unequal length, ids out of range, byte tokens out of range, an unknown family or pre-tokenizer.
Result<TokenizerDescription> take_tokenizer_description(GgufFile& file);

struct EncodeOptions {
  // Turn the text of control tokens into those tokens. Of user-defined ones it always is.
  bool parse_special = false;
  bool add_special = false;  // BOS in front (and EOS behind) where the model has them
};

// Whether chat models end a turn with a token of this text, whatever the file says: <|im_end|>,
// <|eot_id|>, <|end|>, …
bool is_end_text(std::string_view text);

class Tokenizer {
 public:
  static Result<Tokenizer> create(TokenizerDescription description);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // Time linear in the text (times a logarithm); any bytes, valid UTF-8 or not. Bytes that the
  // vocabulary cannot spell are left out ("gpt2") or the unknown token ("llama").
  std::vector<TokenId> encode(std::string_view text, EncodeOptions options) const;
  // The bytes of one token. Control and unknown tokens are empty unless `special`. `id` must be in
  // [0, size()).
  std::string piece(TokenId id, bool special = false) const;
  // The pieces in a row, without the spaces that encode() adds ("llama" with add_space_prefix: in
  // front of the text and behind every special token).
  std::string decode(const std::vector<TokenId>& ids, bool special = false) const;

  size_t size() const;
  std::string_view token_text(TokenId id) const;  // as the file spells it
  TokenType type(TokenId id) const;
  std::optional<TokenId> bos() const;
  std::optional<TokenId> eos() const;
  bool add_bos() const;
  // Ends a turn: EOS, EOT and the control tokens of which is_end_text() is true.
  bool is_end(TokenId id) const;
  size_t memory_bytes() const;  // held by this object, about

 private:
  struct State;
  explicit Tokenizer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Pieces in, whole characters out: holds back the bytes of a character that is not complete yet.
// One thread.
class StreamDecoder {
 public:
  // Text that is complete now. Bytes that can never become valid UTF-8 are passed on as they are.
  std::string push(std::string_view piece);
  // What was held back at the end.
  std::string finish();

 private:
  std::string held_;
};

}  // namespace spillway::formats

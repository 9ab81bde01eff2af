// Hugging Face's tokenizer files: tokenizer.json with tokenizer_config.json beside it. Untrusted;
// what is not understood is refused by name. Functions and values; any thread.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "formats/tokenizer.h"
#include "platform/platform.h"

namespace spillway::formats {

// What tokenizer_config.json says that tokenizer.json does not. Empty where it says nothing.
struct TokenizerConfig {
  std::optional<std::string> bos = {}, eos = {}, unknown = {}, padding = {};  // the tokens' texts
  std::optional<bool> add_bos = {}, add_eos = {};
  std::optional<std::string> chat_template = {};  // of several the one named "default"
};

// kBadFile: not JSON, or a member of another type than it must have; kMachine if reading fails.
Result<TokenizerConfig> read_tokenizer_config(const platform::File& file);

// BPE models, byte-level or with byte fallback, their normalizers, pre-tokenizers, added tokens and
// post-processors. Holds the vocabulary, not the file. Source: the tokenizers package.
// kBadFile: not JSON, a vocabulary or ids that cannot be, a part that is not supported (named);
// kMachine if reading fails.
Result<TokenizerDescription> read_tokenizer_json(const platform::File& file,
                                                 const TokenizerConfig& config = {});

}  // namespace spillway::formats

// What every TokenizerDescription must be, wherever it comes from. A function; any thread.
#pragma once

#include <fmt/format.h>
#include <string>
#include <string_view>

#include "formats/tokenizer.h"

namespace spillway::formats {

// kBadFile: arrays of unequal length, ids or byte tokens out of range, types or scores that are
// none, an unknown family.
Result<void> check_tokenizer_description(const TokenizerDescription& description);

// Tokenizers may name special tokens that the embedding table has no rows for (Gemma 3 knows one
// for images, which its text models lack): text does not become them then. kBadFile: an ordinary
// token, BOS or EOS.
Result<void> keep_tokens_with_rows(TokenizerDescription& description, size_t rows);

// In a GGUF file's metadata.
inline std::string gguf_tokenizer_key(std::string_view name) {
  return fmt::format("tokenizer.ggml.{}", name);
}

}  // namespace spillway::formats

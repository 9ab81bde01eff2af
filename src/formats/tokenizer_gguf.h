// A tokenizer of a Hugging Face folder as a GGUF file's metadata: the way back of
// tokenizer_export.h. Functions; any thread.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "formats/gguf_writer.h"
#include "formats/tokenizer_folder.h"

namespace spillway::formats {

// `rows` of the embedding table, which may be more than the tokens: the rest are named and unused.
// What a file says of white space around added tokens has no place in GGUF (readers know Phi-3's by
// the architecture), and of several more tokens that end a turn only one has.
// kBadFile: GGUF has no name for the way it cuts or changes text; an ordinary token has no row.
Result<void> add_gguf_tokenizer(TokenizerFolder folder, size_t rows, GgufHeader& header);

}  // namespace spillway::formats

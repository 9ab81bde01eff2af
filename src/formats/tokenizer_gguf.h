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
// kBadFile: GGUF has no name for the way it cuts or changes text.
Result<void> add_gguf_tokenizer(const TokenizerFolder& folder, size_t rows, GgufHeader& header);

}  // namespace spillway::formats

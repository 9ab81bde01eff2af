// The tokenizer of a GGUF file as the files that Hugging Face's tokenizers and transformers read.
// Functions; any thread.
#pragma once

#include <string>

#include "base/result.h"
#include "formats/gguf.h"

namespace spillway::formats {

struct ExportedTokenizer {
  std::string tokenizer;  // tokenizer.json
  std::string config;     // tokenizer_config.json, with the chat template
};

// Takes the vocabulary out of the file. `context_length`: positions that the model was trained for.
// kBadFile: no tokenizer, a damaged one, tokens that are not UTF-8, or one that cuts text in a way
// that is not known here.
Result<ExportedTokenizer> export_tokenizer(GgufFile& file, uint64_t context_length);

}  // namespace spillway::formats

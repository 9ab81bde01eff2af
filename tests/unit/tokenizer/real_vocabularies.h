// The shared data's vocabularies as descriptions, however they are spelled. For these tests; a
// missing file is an error in the Result.
#pragma once

#include <string>
#include <vector>

#include "formats/tokenizer.h"

namespace spillway::test {

std::string shared_path(const std::string& name);
Result<std::string> read_text(const std::string& path);
// The 64-bit FNV-1a hash over the ids, each as four bytes, little-endian.
std::string fnv1a(const std::vector<formats::TokenId>& ids);

// Any GGUF file.
Result<formats::TokenizerDescription> gguf_vocabulary(const std::string& path);
// Llama 3: a JSON object of texts to ids, and the merges, one a line.
Result<formats::TokenizerDescription> llama3_vocabulary();
// Qwen2: base64 of the bytes and the rank, one a line. The merges are worked out: each token's last
// merge is the one that the ranks below its own lead to.
Result<formats::TokenizerDescription> qwen2_vocabulary();

}  // namespace spillway::test

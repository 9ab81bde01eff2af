// How byte-level BPE cuts text, by the names that GGUF files have for it (tokenizer.ggml.pre).
// Functions; any thread.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/tokenizer_steps.h"

namespace spillway::formats {

struct NamedCut {
  std::vector<SplitStep> steps = {};
  bool whole_words_first = false;  // TokenizerDescription::whole_words_first
  bool adds_bos = false;           // where the file does not say
};

// kBadFile: `name` is none of those that we know.
Result<NamedCut> find_named_cut(std::string_view name);

}  // namespace spillway::formats

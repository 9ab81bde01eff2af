// The steps in tokenizer.json that change and cut text, as our own. Functions; any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/json_text.h"
#include "formats/tokenizer_steps.h"

namespace spillway::formats {

// All take null for "none" and give kBadFile for a part that they do not know.
Result<std::vector<TextStep>> read_normalizer(const Json* normalizer);

struct PreTokenizerSteps {
  std::vector<TextStep> preparation;
  std::vector<SplitStep> splits;
  bool byte_level = false;
};
Result<PreTokenizerSteps> read_pre_tokenizer(const Json* pre_tokenizer);

// The special tokens that stand around a text.
struct AroundText {
  std::optional<std::string> before, after;
};
Result<AroundText> read_post_processor(const Json* post_processor);

// Decoding follows from the steps above; what a decoder says beyond that would be lost.
Result<void> check_decoder(const Json* decoder, bool byte_level);

}  // namespace spillway::formats

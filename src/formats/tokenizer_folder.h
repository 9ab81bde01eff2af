// What a Hugging Face model folder says of text: tokenizer.json, tokenizer_config.json,
// chat_template.jinja, generation_config.json or config.json. Functions and values; any thread.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "formats/tokenizer.h"
#include "platform/platform.h"

namespace spillway::formats {

struct TokenizerFolder {
  TokenizerDescription tokenizer;
  std::optional<std::string> chat_template;  // its source
};

// Only tokenizer.json must be there. Errors are those of tokenizer_json.h, with the file's path.
Result<TokenizerFolder> read_tokenizer_folder(platform::Platform& platform,
                                              const std::string& folder);

}  // namespace spillway::formats

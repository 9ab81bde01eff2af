// A Hugging Face folder: config.json, tokenizer.json and the weights in safetensors files.
// Functions and values; any thread.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "formats/tokenizer.h"
#include "model/transformer.h"
#include "platform/platform.h"

namespace spillway::engine {

// What a model is made of, read from its files.
struct ModelParts {
  std::unique_ptr<platform::File> file;  // the weights', several files joined
  model::Transformer transformer;
  formats::TokenizerDescription tokenizer;
  std::string chat_template;  // empty: none
  uint64_t header_bytes = 0;  // held for what the files say about the weights, about
};

// Whether there is a config.json in it.
bool is_model_folder(platform::Platform& platform, const std::string& path);

// The text of config.json. kBadFile, kMachine; messages begin with its path.
Result<std::string> read_config_text(platform::Platform& platform, const std::string& folder);

// kBadFile, kMachine; messages begin with the path of what they are about.
Result<ModelParts> read_model_folder(platform::Platform& platform, const std::string& folder,
                                     platform::OpenOptions options);

}  // namespace spillway::engine

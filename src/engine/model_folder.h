// A Hugging Face folder: config.json, tokenizer.json and the weights in safetensors files.
// Functions and values; any thread.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "formats/safetensors.h"
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

// Whether it is a folder; what it lacks for being a model's is said when it is read.
bool is_model_folder(const std::string& path);

// The text of config.json. kBadFile, kMachine; messages begin with its path.
Result<std::string> read_config_text(platform::Platform& platform, const std::string& folder);

// Its numbers. kBadFile, kMachine; messages begin with its path.
Result<model::ModelConfig> read_folder_config(platform::Platform& platform,
                                              const std::string& folder);

// The weights by the names that GGUF has for them, at their places in their own files; without
// those that follow from the configuration. kBadFile: models of this kind have no such tensor, or
// it is none of F32, F16 and BF16.
Result<std::vector<formats::FolderTensor>> tensors_by_gguf_name(
    const formats::SafetensorsFolder& weights, const model::Architecture& architecture);

// kBadFile, kMachine; messages begin with the path of what they are about.
Result<ModelParts> read_model_folder(platform::Platform& platform, const std::string& folder,
                                     platform::OpenOptions options);

}  // namespace spillway::engine

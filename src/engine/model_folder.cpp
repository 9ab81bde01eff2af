#include "engine/model_folder.h"

#include <filesystem>
#include <span>

#include "base/units.h"
#include "formats/gguf_reader.h"
#include "formats/tokenizer_description.h"
#include "formats/tokenizer_folder.h"
#include "model/tensor_names.h"
#include "platform/joined_file.h"

namespace spillway::engine {
namespace {

constexpr uint64_t kMostConfig = kMiB;  // real ones have a few thousand bytes

// Buffers that old checkpoints store although they follow from the configuration.
bool is_derived(std::string_view name) {
  return name.ends_with(".rotary_emb.inv_freq");
}

Result<model::Transformer> bind_weights(const formats::SafetensorsFolder& weights,
                                        const std::vector<uint64_t>& offsets,
                                        model::ModelConfig config) {
  SPILLWAY_ASSIGN(const auto named, tensors_by_gguf_name(weights, *config.architecture));
  std::vector<formats::GgufTensor> joined;
  for (const formats::FolderTensor& stored : named) {
    joined.push_back(stored.tensor);
    joined.back().offset += offsets[stored.file];
  }
  return model::Transformer::bind(std::move(config), model::TensorIndex(std::move(joined)));
}

uint64_t held_bytes(const formats::SafetensorsFolder& weights) {
  uint64_t bytes = 0;
  for (const formats::FolderTensor& stored : weights.tensors()) {
    bytes += sizeof(stored) + stored.tensor.name.capacity();
    bytes += stored.tensor.dimensions.capacity() * sizeof(uint64_t);
  }
  return 2 * bytes;  // by both their names
}

}  // namespace

bool is_model_folder(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored);
}

Result<std::string> read_config_text(platform::Platform& platform, const std::string& folder) {
  SPILLWAY_ASSIGN(const auto file,
                  platform.open(folder + "/config.json", {.caching = platform::Caching::kUse}));
  const uint64_t size = file->info().size_bytes;
  if (size > kMostConfig) {
    return fail(ErrorCode::kBadFile, "{}: {} is too long; at most {} are read", file->info().path,
                format_size(size), format_size(kMostConfig));
  }
  std::string text(size, '\0');
  SPILLWAY_ASSIGN(const size_t read, file->read(0, std::as_writable_bytes(std::span(text))));
  text.resize(read);
  return text;
}

Result<model::ModelConfig> read_folder_config(platform::Platform& platform,
                                              const std::string& folder) {
  SPILLWAY_ASSIGN(const std::string text, read_config_text(platform, folder));
  auto config = model::read_huggingface_config(text);
  if (!config) return fail_within(folder + "/config.json", config.error());
  return config;
}

Result<std::vector<formats::FolderTensor>> tensors_by_gguf_name(
    const formats::SafetensorsFolder& weights, const model::Architecture& architecture) {
  std::vector<formats::FolderTensor> tensors;
  for (const formats::FolderTensor& stored : weights.tensors()) {
    if (is_derived(stored.tensor.name)) continue;
    auto name = model::gguf_tensor_name(architecture, stored.tensor.name);
    if (!name) {
      return fail(ErrorCode::kBadFile, "the tensor {} is none that a model of type '{}' has",
                  formats::in_quotes(stored.tensor.name), architecture.model_type);
    }
    tensors.push_back(stored);
    tensors.back().tensor.name = *std::move(name);
  }
  for (const formats::OtherTensor& other : weights.others()) {
    if (!model::gguf_tensor_name(architecture, other.name)) continue;
    return fail(ErrorCode::kBadFile, "the tensor {} is {}; F32, F16 and BF16 are supported",
                other.name, other.type);
  }
  return tensors;
}

Result<ModelParts> read_model_folder(platform::Platform& platform, const std::string& folder,
                                     platform::OpenOptions options) {
  SPILLWAY_ASSIGN(auto config, read_folder_config(platform, folder));
  SPILLWAY_ASSIGN(auto weights, formats::SafetensorsFolder::open(platform, folder, options));
  platform::JoinedFile joined = platform::join_files(folder, weights.take_files());
  auto transformer = bind_weights(weights, joined.offsets, std::move(config));
  if (!transformer) return fail_within(folder, transformer.error());
  SPILLWAY_ASSIGN(auto vocabulary, formats::read_tokenizer_folder(platform, folder));
  const size_t rows = transformer->config().vocabulary;
  const auto kept = formats::keep_tokens_with_rows(vocabulary.tokenizer, rows);
  if (!kept) return fail_within(folder, kept.error());
  return ModelParts{.file = std::move(joined.file),
                    .transformer = *std::move(transformer),
                    .tokenizer = std::move(vocabulary.tokenizer),
                    .chat_template = vocabulary.chat_template.value_or(""),
                    .header_bytes = held_bytes(weights)};
}

}  // namespace spillway::engine

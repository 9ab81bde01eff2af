#include "engine/model_folder.h"

#include <span>

#include "base/units.h"
#include "formats/safetensors.h"
#include "formats/tokenizer_folder.h"
#include "model/tensor_names.h"
#include "platform/joined_file.h"

namespace spillway::engine {
namespace {

constexpr uint64_t kMostConfig = kMiB;  // real ones have a few thousand bytes

Result<std::unique_ptr<platform::File>> open_config(platform::Platform& platform,
                                                    const std::string& folder) {
  return platform.open(folder + "/config.json", {.caching = platform::Caching::kUse});
}

// Buffers that old checkpoints store although they follow from the configuration.
bool is_derived(std::string_view name) {
  return name.ends_with(".rotary_emb.inv_freq");
}

// The folder's tensors by the names of GGUF, at their places in the joined file.
Result<model::TensorIndex> index_tensors(const formats::SafetensorsFolder& weights,
                                         const std::vector<uint64_t>& offsets,
                                         const model::Architecture& architecture) {
  std::vector<formats::GgufTensor> tensors;
  for (const formats::FolderTensor& stored : weights.tensors()) {
    if (is_derived(stored.tensor.name)) continue;
    auto name = model::gguf_tensor_name(architecture, stored.tensor.name);
    if (!name) {
      return fail(ErrorCode::kBadFile, "the tensor {} is none that a model of type '{}' has",
                  stored.tensor.name, architecture.model_type);
    }
    tensors.push_back(stored.tensor);
    tensors.back().name = *std::move(name);
    tensors.back().offset += offsets[stored.file];
  }
  for (const formats::OtherTensor& other : weights.others()) {
    if (!model::gguf_tensor_name(architecture, other.name)) continue;
    return fail(ErrorCode::kBadFile, "the tensor {} is {}; F32, F16 and BF16 are supported",
                other.name, other.type);
  }
  return model::TensorIndex(std::move(tensors));
}

Result<model::Transformer> bind_weights(const formats::SafetensorsFolder& weights,
                                        const std::vector<uint64_t>& offsets,
                                        model::ModelConfig config) {
  SPILLWAY_ASSIGN(const auto index, index_tensors(weights, offsets, *config.architecture));
  return model::Transformer::bind(std::move(config), index);
}

uint64_t held_bytes(const formats::SafetensorsFolder& weights) {
  uint64_t bytes = 0;
  for (const formats::FolderTensor& stored : weights.tensors()) {
    bytes += sizeof(stored) + stored.tensor.name.capacity();
    bytes += stored.tensor.dimensions.capacity() * sizeof(uint64_t);
  }
  return 2 * bytes;  // by both their names
}

// Tokenizers may name special tokens that the table has no rows for (Gemma 3 knows one for images,
// which its text models lack). Text does not become them then. kBadFile: an ordinary token.
Result<void> drop_tokens_without_rows(formats::TokenizerDescription& tokenizer, size_t rows) {
  const formats::StringArray all = std::move(tokenizer.tokens);
  tokenizer.tokens = {};
  for (size_t i = 0; i < all.size(); ++i) {
    if (i < rows) {
      tokenizer.tokens.push_back(all[i]);
    } else if (tokenizer.types[i] == static_cast<int64_t>(formats::TokenType::kNormal)) {
      return fail(ErrorCode::kBadFile,
                  "the vocabulary has {} tokens, but the embedding table only {} rows", all.size(),
                  rows);
    }
  }
  tokenizer.types.resize(std::min(tokenizer.types.size(), rows));
  tokenizer.scores.resize(std::min(tokenizer.scores.size(), rows));
  std::erase_if(tokenizer.added,
                [&](const auto& rule) { return static_cast<size_t>(rule.id) >= rows; });
  return {};
}

}  // namespace

bool is_model_folder(platform::Platform& platform, const std::string& path) {
  return open_config(platform, path).has_value();
}

Result<std::string> read_config_text(platform::Platform& platform, const std::string& folder) {
  SPILLWAY_ASSIGN(const auto file, open_config(platform, folder));
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

Result<ModelParts> read_model_folder(platform::Platform& platform, const std::string& folder,
                                     platform::OpenOptions options) {
  SPILLWAY_ASSIGN(const std::string text, read_config_text(platform, folder));
  auto config = model::read_huggingface_config(text);
  if (!config) return fail_within(folder + "/config.json", config.error());
  SPILLWAY_ASSIGN(auto weights, formats::SafetensorsFolder::open(platform, folder, options));
  platform::JoinedFile joined = platform::join_files(folder, weights.take_files());
  auto transformer = bind_weights(weights, joined.offsets, *std::move(config));
  if (!transformer) return fail_within(folder, transformer.error());
  SPILLWAY_ASSIGN(auto vocabulary, formats::read_tokenizer_folder(platform, folder));
  const size_t rows = transformer->config().vocabulary;
  if (vocabulary.tokenizer.tokens.size() > rows && !vocabulary.tokenizer.types.empty()) {
    const auto dropped = drop_tokens_without_rows(vocabulary.tokenizer, rows);
    if (!dropped) return fail_within(folder, dropped.error());
  }
  return ModelParts{.file = std::move(joined.file),
                    .transformer = *std::move(transformer),
                    .tokenizer = std::move(vocabulary.tokenizer),
                    .chat_template = vocabulary.chat_template.value_or(""),
                    .header_bytes = held_bytes(weights)};
}

}  // namespace spillway::engine

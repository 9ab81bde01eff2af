#include "engine/folder_draft.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <span>

#include "engine/gguf_shards.h"
#include "formats/tokenizer_export.h"
#include "model/config_writer.h"
#include "model/tensor_names.h"
#include "model/transformer.h"

namespace spillway::engine {
namespace {

using formats::GgufFile;
using formats::GgufTensor;
using nlohmann::ordered_json;

constexpr uint64_t kMostShardBytes = 5'000'000'000;  // as transformers cuts them
constexpr std::string_view kRopeFactors = "rope_freqs.weight";

// Follows from the configuration.
bool is_rope_factors(std::string_view name) {
  return name == kRopeFactors || name.starts_with("rope_factors_");
}

DType folder_dtype(const GgufFile& source) {
  const GgufTensor* table = source.find_tensor("token_embd.weight");
  const bool kept =
      table != nullptr && (table->dtype == DType::kF32 || table->dtype == DType::kF16);
  return kept ? table->dtype : DType::kBF16;
}

// Into the configuration, where the file has a tensor of them.
Result<void> read_factors(const platform::File& file, const GgufFile& source, std::string_view name,
                          const model::ModelConfig& config, std::vector<float>& factors) {
  const GgufTensor* tensor = source.find_tensor(name);
  if (tensor == nullptr) return {};
  if (tensor->dtype != DType::kF32 || tensor->size_bytes != config.rope_dims / 2 * sizeof(float)) {
    return fail(ErrorCode::kBadFile, "{} is no F32 [{}]", name, config.rope_dims / 2);
  }
  factors.resize(config.rope_dims / 2);
  SPILLWAY_ASSIGN(const size_t read,
                  file.read(tensor->offset, std::as_writable_bytes(std::span(factors))));
  if (read == tensor->size_bytes) return {};
  return fail(ErrorCode::kBadFile, "the file ends within {}; was it truncated?", name);
}

Result<void> read_rope_factors(const platform::File& file, const GgufFile& source,
                               model::ModelConfig& config) {
  model::Rope& rope = config.rope;
  if (rope.long_context == 0) return read_factors(file, source, kRopeFactors, config, rope.factors);
  SPILLWAY_TRY(read_factors(file, source, "rope_factors_short.weight", config, rope.factors));
  SPILLWAY_TRY(read_factors(file, source, "rope_factors_long.weight", config, rope.long_factors));
  if (!rope.long_factors.empty()) return {};
  return fail(ErrorCode::kBadFile, "the tensor rope_factors_long.weight is missing");
}

// Numbers that no tensor contradicts: none is missing, left over, or of another shape.
Result<model::ModelConfig> checked_config(const platform::File& file, const GgufFile& source) {
  SPILLWAY_ASSIGN(model::ModelConfig config, model::read_gguf_config(source));
  SPILLWAY_ASSIGN(const auto bound,
                  model::Transformer::bind(config, model::TensorIndex(source.tensors())));
  config.vocabulary = bound.config().vocabulary;
  SPILLWAY_TRY(read_rope_factors(file, source, config));
  return config;
}

Result<TensorCopy> copy_of(const platform::File& file, const GgufTensor& tensor, DType dtype,
                           const model::ModelConfig& config) {
  const model::Architecture& architecture = *config.architecture;
  const std::string_view name = tensor.name;
  TensorCopy copy{.file = &file, .source = tensor, .dtype = dtype};
  if (architecture.norms_less_one && name.find("norm.weight") != std::string_view::npos) {
    copy.offset = -1.0F;
  }
  const bool turned = name.find(".attn_q.") != std::string_view::npos ||
                      name.find(".attn_k.") != std::string_view::npos;
  if (!turned || architecture.rope_layout != ops::RopeLayout::kInterleaved) return copy;
  if (config.rope_dims != config.head_dim) {
    return fail(ErrorCode::kBadFile,
                "the rows of {} are reordered in a way that is not converted: RoPE turns {} of "
                "the {} elements of a head",
                name, config.rope_dims, config.head_dim);
  }
  copy.order = HeadOrder::kSeparate;
  copy.head_rows = config.head_dim;
  return copy;
}

Result<std::vector<FolderDraft::Shard>> cut_into_shards(const platform::File& file,
                                                        const GgufFile& source, DType dtype,
                                                        const model::ModelConfig& config) {
  std::vector<FolderDraft::Shard> shards(1);
  uint64_t bytes = 0;
  for (const GgufTensor& tensor : source.tensors()) {
    if (is_rope_factors(tensor.name)) continue;
    const auto name = model::huggingface_tensor_name(*config.architecture, tensor.name);
    if (!name) {
      return fail(ErrorCode::kBadFile, "the tensor {} has no place in a folder", tensor.name);
    }
    SPILLWAY_ASSIGN(TensorCopy copy, copy_of(file, tensor, dtype, config));
    if (bytes > 0 && bytes + copy.size_bytes() > kMostShardBytes) {
      shards.emplace_back();
      bytes = 0;
    }
    bytes += copy.size_bytes();
    shards.back().tensors.push_back(
        {.name = *name, .dtype = dtype, .dimensions = tensor.dimensions});
    shards.back().copies.push_back(std::move(copy));
  }
  return shards;
}

// "model.safetensors", or "model-00001-of-00002.safetensors" and an index.
void name_shards(FolderDraft& draft) {
  if (draft.shards.size() == 1) {
    draft.shards[0].name = "model.safetensors";
    return;
  }
  ordered_json map = ordered_json::object();
  for (size_t i = 0; i < draft.shards.size(); ++i) {
    FolderDraft::Shard& shard = draft.shards[i];
    shard.name = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, draft.shards.size());
    for (const GgufTensor& tensor : shard.tensors) map[tensor.name] = shard.name;
  }
  const ordered_json index = {{"metadata", {{"total_size", draft.size_bytes()}}},
                              {"weight_map", map}};
  draft.texts.push_back({"model.safetensors.index.json", index.dump(2) + "\n"});
}

std::optional<uint64_t> token_id(const GgufFile& source, std::string_view name) {
  const auto id = source.unsigned_value(fmt::format("tokenizer.ggml.{}_token_id", name));
  if (!id) return std::nullopt;
  return *id;
}

std::string generation_config(const model::HuggingFaceFacts& facts) {
  ordered_json json = {{"_from_model_config", true}};
  if (facts.bos) json["bos_token_id"] = *facts.bos;
  if (facts.eos) json["eos_token_id"] = *facts.eos;
  if (facts.padding) json["pad_token_id"] = *facts.padding;
  return json.dump(2) + "\n";
}

}  // namespace

uint64_t FolderDraft::Shard::data_bytes() const {
  uint64_t bytes = 0;
  for (const TensorCopy& copy : copies) bytes += copy.size_bytes();
  return bytes;
}

uint64_t FolderDraft::text_bytes() const {
  uint64_t bytes = 0;
  for (const Text& text : texts) bytes += text.content.size();
  return bytes;
}

uint64_t FolderDraft::size_bytes() const {
  uint64_t bytes = text_bytes();
  for (const Shard& shard : shards) bytes += shard.data_bytes();
  return bytes;
}

Result<FolderDraft> draft_of_folder(const platform::File& file, GgufFile& source) {
  SPILLWAY_TRY(check_whole(source));
  SPILLWAY_ASSIGN(const model::ModelConfig config, checked_config(file, source));
  const model::HuggingFaceFacts facts{.dtype = folder_dtype(source),
                                      .tied = source.find_tensor("output.weight") == nullptr,
                                      .bos = token_id(source, "bos"),
                                      .eos = token_id(source, "eos"),
                                      .padding = token_id(source, "padding")};
  FolderDraft draft;
  SPILLWAY_ASSIGN(draft.shards, cut_into_shards(file, source, facts.dtype, config));
  name_shards(draft);
  SPILLWAY_ASSIGN(std::string numbers, model::huggingface_config(config, facts));
  SPILLWAY_ASSIGN(auto tokenizer, formats::export_tokenizer(source, config.context_length));
  draft.texts.push_back({"config.json", std::move(numbers)});
  draft.texts.push_back({"generation_config.json", generation_config(facts)});
  draft.texts.push_back({"tokenizer.json", std::move(tokenizer.tokenizer)});
  draft.texts.push_back({"tokenizer_config.json", std::move(tokenizer.config)});
  return draft;
}

}  // namespace spillway::engine

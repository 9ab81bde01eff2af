// A Hugging Face folder as a GGUF file.
#include <algorithm>
#include <array>

#include "engine/gguf_draft.h"
#include "engine/model_folder.h"
#include "formats/gguf_reader.h"
#include "formats/tokenizer_folder.h"
#include "formats/tokenizer_gguf.h"
#include "model/config_writer.h"
#include "model/tensor_names.h"
#include "model/transformer.h"

namespace spillway::engine {
namespace {

using formats::FolderTensor;
using formats::GgufTensor;

// general.file_type by the dtype of the embedding table.
constexpr uint32_t kAllF32 = 0;
constexpr uint32_t kMostlyF16 = 1;
constexpr uint32_t kMostlyBf16 = 32;

uint32_t file_type(DType dtype) {
  return dtype == DType::kF32 ? kAllF32 : dtype == DType::kF16 ? kMostlyF16 : kMostlyBf16;
}

// What follows from the configuration, or is another's copy.
bool is_left_out(std::string_view name, const model::ModelConfig& config) {
  return name.ends_with("rotary_emb.inv_freq") ||
         (name == "lm_head.weight" && config.tied.value_or(false));
}

Result<TensorCopy> copy_of(const FolderTensor& tensor, const formats::SafetensorsFolder& weights,
                           const model::ModelConfig& config) {
  const auto name = model::gguf_tensor_name(*config.architecture, tensor.tensor.name);
  if (!name) {
    return fail(ErrorCode::kBadFile, "the tensor {} has no place in a GGUF file",
                formats::quoted(tensor.tensor.name));
  }
  TensorCopy copy{.file = weights.files()[tensor.file].get(),
                  .source = tensor.tensor,
                  .dtype = tensor.tensor.dtype};
  copy.source.name = *name;
  if (tensor.tensor.dimensions.size() < 2) copy.dtype = DType::kF32;
  if (name->find("norm.weight") != std::string::npos) copy.offset = config.norm_offset;
  const bool turned =
      name->find(".attn_q.") != std::string::npos || name->find(".attn_k.") != std::string::npos;
  if (!turned || !config.interleave_heads) return copy;
  if (tensor.tensor.dimensions.size() < 2 || config.rope_dims != config.head_dim) {
    return fail(ErrorCode::kBadFile,
                "the rows of {} would be reordered in a way that is not converted (a bias, or RoPE "
                "that turns a part of each head only)",
                *name);
  }
  copy.order = HeadOrder::kInterleave;
  copy.head_rows = config.head_dim;
  return copy;
}

// In the order in which a pass uses them, layer by layer: shards often have 10 before 2.
void sort_by_layer(std::vector<TensorCopy>& tensors) {
  const auto place = [](const TensorCopy& copy) -> size_t {
    if (copy.source.name == "token_embd.weight") return 0;
    const auto layer = model::layer_of_tensor(copy.source.name);
    return layer ? *layer + 1 : SIZE_MAX;
  };
  std::ranges::stable_sort(tensors, {}, place);
}

// None is missing, left over, or of another shape. Returns the rows of the embedding table.
Result<size_t> check_tensors(const GgufDraft& draft, const model::ModelConfig& config) {
  std::vector<GgufTensor> tensors;
  for (const TensorCopy& copy : draft.tensors) tensors.push_back(copy.source);
  SPILLWAY_ASSIGN(const auto bound,
                  model::Transformer::bind(config, model::TensorIndex(std::move(tensors))));
  return bound.config().vocabulary;
}

// Llama 3's are a tensor in GGUF.
void add_rope_factors(const model::ModelConfig& config, GgufDraft& draft) {
  const auto& factors = config.rope.factors;
  if (factors.empty()) return;
  TensorCopy copy{.file = nullptr,
                  .source = {.name = "rope_freqs.weight",
                             .dtype = DType::kF32,
                             .dimensions = {factors.size()},
                             .size_bytes = factors.size() * sizeof(float)},
                  .dtype = DType::kF32};
  copy.values = factors;
  draft.tensors.push_back(std::move(copy));
}

}  // namespace

Result<GgufDraft> draft_of_gguf(platform::Platform& platform, const std::string& folder,
                                const formats::SafetensorsFolder& weights) {
  SPILLWAY_ASSIGN(const std::string text, read_config_text(platform, folder));
  SPILLWAY_ASSIGN(const model::ModelConfig config, model::read_huggingface_config(text));
  GgufDraft draft{.layers = config.layers};
  SPILLWAY_TRY(model::add_gguf_config(config, draft.header));
  for (const FolderTensor& tensor : weights.tensors()) {
    if (is_left_out(tensor.tensor.name, config)) continue;
    SPILLWAY_ASSIGN(TensorCopy copy, copy_of(tensor, weights, config));
    draft.tensors.push_back(std::move(copy));
  }
  SPILLWAY_ASSIGN(const size_t rows, check_tensors(draft, config));
  add_rope_factors(config, draft);
  sort_by_layer(draft.tensors);
  const FolderTensor* table = weights.find_tensor("model.embed_tokens.weight");
  draft.file_type = file_type(table == nullptr ? DType::kBF16 : table->tensor.dtype);
  SPILLWAY_ASSIGN(const auto tokenizer, formats::read_tokenizer_folder(platform, folder));
  SPILLWAY_TRY(formats::add_gguf_tokenizer(tokenizer, rows, draft.header));
  return draft;
}

}  // namespace spillway::engine

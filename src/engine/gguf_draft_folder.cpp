// A Hugging Face folder as a GGUF file.
#include <algorithm>
#include <filesystem>

#include "engine/gguf_draft.h"
#include "engine/model_folder.h"
#include "formats/tokenizer_folder.h"
#include "formats/tokenizer_gguf.h"
#include "model/config_writer.h"
#include "model/tensor_names.h"

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

Result<TensorCopy> copy_of(const FolderTensor& tensor, const formats::SafetensorsFolder& weights,
                           const model::ModelConfig& config) {
  const std::string_view name = tensor.tensor.name;
  TensorCopy copy{.file = weights.files()[tensor.file].get(),
                  .source = tensor.tensor,
                  .dtype = tensor.tensor.dtype};
  if (tensor.tensor.dimensions.size() < 2) copy.dtype = DType::kF32;
  if (name.find("norm.weight") != std::string_view::npos) copy.offset = config.norm_offset;
  const bool turned = name.find(".attn_q.") != std::string_view::npos ||
                      name.find(".attn_k.") != std::string_view::npos;
  if (!turned || !config.interleave_heads) return copy;
  if (config.rope_dims != config.head_dim) {
    return fail(
        ErrorCode::kBadFile,
        "the rows of {} would be reordered in a way that is not converted: RoPE turns {} of "
        "the {} elements of a head",
        name, config.rope_dims, config.head_dim);
  }
  copy.order = HeadOrder::kInterleave;
  copy.head_rows = config.head_dim;
  return copy;
}

// In the order in which a pass uses them, layer by layer: shards often have 10 before 2.
void sort_by_layer(std::vector<FolderTensor>& tensors) {
  const auto place = [](const FolderTensor& tensor) -> size_t {
    if (tensor.tensor.name == "token_embd.weight") return 0;
    const auto layer = model::layer_of_tensor(tensor.tensor.name);
    return layer ? *layer + 1 : SIZE_MAX;
  };
  std::ranges::stable_sort(tensors, {}, place);
}

// None is missing, left over, or of another shape. Returns the rows of the embedding table.
Result<size_t> check_tensors(const std::vector<FolderTensor>& tensors,
                             const model::ModelConfig& config) {
  std::vector<GgufTensor> bare;
  bare.reserve(tensors.size());
  for (const FolderTensor& tensor : tensors) bare.push_back(tensor.tensor);
  SPILLWAY_ASSIGN(const auto bound,
                  model::Transformer::bind(config, model::TensorIndex(std::move(bare))));
  return bound.config().vocabulary;
}

// Llama 3's and LongRoPE's are tensors in GGUF.
void add_factors(std::string_view name, const std::vector<float>& factors, GgufDraft& draft) {
  if (factors.empty()) return;
  TensorCopy copy{.file = nullptr,
                  .source = {.name = std::string(name),
                             .dtype = DType::kF32,
                             .dimensions = {factors.size()},
                             .size_bytes = factors.size() * sizeof(float)},
                  .dtype = DType::kF32};
  copy.values = factors;
  draft.tensors.push_back(std::move(copy));
}

// The name that people gave the folder; "." and "models/" have one, too.
std::string name_of_folder(const std::string& folder) {
  std::error_code ignored;
  const auto path = std::filesystem::weakly_canonical(folder, ignored);
  return path.filename().string();
}

Result<GgufDraft> draft_of_weights(const formats::SafetensorsFolder& weights,
                                   const model::ModelConfig& config,
                                   formats::TokenizerFolder tokenizer) {
  GgufDraft draft{.layers = config.layers};
  SPILLWAY_TRY(model::add_gguf_config(config, draft.header));
  SPILLWAY_ASSIGN(auto tensors, tensors_by_gguf_name(weights, *config.architecture));
  if (config.tied.value_or(false)) {  // a head that is stored all the same is a copy of the table
    std::erase_if(tensors, [](const auto& t) { return t.tensor.name == "output.weight"; });
  }
  sort_by_layer(tensors);
  SPILLWAY_ASSIGN(const size_t rows, check_tensors(tensors, config));
  draft.file_type = file_type(tensors.front().tensor.dtype);
  const bool longrope = config.rope.long_context > 0;
  add_factors(longrope ? "rope_factors_short.weight" : "rope_freqs.weight", config.rope.factors,
              draft);
  add_factors("rope_factors_long.weight", config.rope.long_factors, draft);
  for (const FolderTensor& tensor : tensors) {
    SPILLWAY_ASSIGN(TensorCopy copy, copy_of(tensor, weights, config));
    draft.tensors.push_back(std::move(copy));
  }
  SPILLWAY_TRY(formats::add_gguf_tokenizer(std::move(tokenizer), rows, draft.header));
  return draft;
}

}  // namespace

Result<GgufDraft> draft_of_gguf(platform::Platform& platform, const std::string& folder,
                                const formats::SafetensorsFolder& weights) {
  SPILLWAY_ASSIGN(const auto config, read_folder_config(platform, folder));
  SPILLWAY_ASSIGN(auto tokenizer, formats::read_tokenizer_folder(platform, folder));
  auto draft = draft_of_weights(weights, config, std::move(tokenizer));
  if (!draft) return fail_within(folder, draft.error());
  draft->header.add("general.type", "model");
  draft->header.add("general.name", name_of_folder(folder));
  return draft;
}

}  // namespace spillway::engine

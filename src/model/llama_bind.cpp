// Finding the weights of a Llama model in a file, and the layouts that follow from its numbers.
#include <algorithm>

#include "base/check.h"
#include "base/units.h"
#include "model/llama.h"

namespace spillway::model {
namespace {

constexpr size_t kCacheLine = 64;

Result<Weight> find_matrix(const formats::GgufFile& file, const std::string& name, size_t rows,
                           size_t columns) {
  const formats::GgufTensor* tensor = file.find_tensor(name);
  if (tensor == nullptr) return fail(ErrorCode::kBadFile, "the tensor {} is missing", name);
  if (tensor->dimensions.size() > 2 || tensor->columns() != columns || tensor->rows() != rows) {
    return fail(ErrorCode::kBadFile, "the tensor {} has shape [{}], expected [{}, {}]", name,
                fmt::join(tensor->dimensions, ", "), columns, rows);
  }
  return Weight{.name = name,
                .dtype = tensor->dtype,
                .rows = rows,
                .columns = columns,
                .file_offset = tensor->offset};
}

Result<SmallTensor> find_vector(const formats::GgufFile& file, const std::string& name,
                                size_t size) {
  const formats::GgufTensor* tensor = file.find_tensor(name);
  if (tensor == nullptr) return fail(ErrorCode::kBadFile, "the tensor {} is missing", name);
  if (tensor->dtype != DType::kF32 || tensor->columns() != size || tensor->rows() != 1) {
    return fail(ErrorCode::kBadFile, "the tensor {} is {} [{}], expected F32 [{}]", name,
                dtype_info(tensor->dtype).name, fmt::join(tensor->dimensions, ", "), size);
  }
  return SmallTensor{.name = name, .file_offset = tensor->offset, .size = size, .values = {}};
}

}  // namespace

Result<Llama> Llama::bind(const formats::GgufFile& file) {
  Llama llama;
  SPILLWAY_ASSIGN(llama.config_, read_llama_config(file));
  const LlamaConfig& config = llama.config_;
  SPILLWAY_ASSIGN(llama.embedding_,
                  find_matrix(file, "token_embd.weight", config.vocabulary, config.dim));
  for (size_t i = 0; i < config.layers; ++i) SPILLWAY_TRY(llama.bind_layer(file, i));

  SPILLWAY_ASSIGN(SmallTensor output_norm, find_vector(file, "output_norm.weight", config.dim));
  llama.output_norm_ = llama.small_tensors_.size();
  llama.small_tensors_.push_back(std::move(output_norm));
  if (file.find_tensor("rope_freqs.weight") != nullptr) {
    SPILLWAY_ASSIGN(SmallTensor factors,
                    find_vector(file, "rope_freqs.weight", config.rope_dims / 2));
    llama.rope_factors_ = llama.small_tensors_.size();
    llama.small_tensors_.push_back(std::move(factors));
  }
  if (file.find_tensor("output.weight") != nullptr) {
    SPILLWAY_ASSIGN(Weight output,
                    find_matrix(file, "output.weight", config.vocabulary, config.dim));
    llama.weights_.push_back(std::move(output));
  } else {
    llama.weights_.push_back(llama.embedding_);
  }
  return llama;
}

Result<void> Llama::bind_layer(const formats::GgufFile& file, size_t index) {
  const LlamaConfig& c = config_;
  const std::string prefix = fmt::format("blk.{}.", index);
  for (const char* bias : {"attn_q.bias", "attn_k.bias", "attn_v.bias", "attn_output.bias",
                           "ffn_gate.bias", "ffn_up.bias", "ffn_down.bias"}) {
    if (file.find_tensor(prefix + bias) != nullptr) {
      return fail(ErrorCode::kBadFile, "the tensor {}{}: biases are not supported yet", prefix,
                  bias);
    }
  }
  const auto vector = [&](const char* name) -> Result<size_t> {
    SPILLWAY_ASSIGN(SmallTensor tensor, find_vector(file, prefix + name, c.dim));
    small_tensors_.push_back(std::move(tensor));
    return small_tensors_.size() - 1;
  };
  const auto matrix = [&](const char* name, size_t rows, size_t columns) -> Result<WeightId> {
    SPILLWAY_ASSIGN(Weight weight, find_matrix(file, prefix + name, rows, columns));
    weights_.push_back(std::move(weight));
    return weights_.size() - 1;
  };
  Layer layer{};
  SPILLWAY_ASSIGN(layer.attention_norm, vector("attn_norm.weight"));
  SPILLWAY_ASSIGN(layer.wq, matrix("attn_q.weight", c.q_dim(), c.dim));
  SPILLWAY_ASSIGN(layer.wk, matrix("attn_k.weight", c.kv_dim(), c.dim));
  SPILLWAY_ASSIGN(layer.wv, matrix("attn_v.weight", c.kv_dim(), c.dim));
  SPILLWAY_ASSIGN(layer.wo, matrix("attn_output.weight", c.dim, c.q_dim()));
  SPILLWAY_ASSIGN(layer.ffn_norm, vector("ffn_norm.weight"));
  SPILLWAY_ASSIGN(layer.w_gate, matrix("ffn_gate.weight", c.ffn_dim, c.dim));
  SPILLWAY_ASSIGN(layer.w_up, matrix("ffn_up.weight", c.ffn_dim, c.dim));
  SPILLWAY_ASSIGN(layer.w_down, matrix("ffn_down.weight", c.dim, c.ffn_dim));
  layers_.push_back(layer);
  return {};
}

KvLayout KvLayout::of(const LlamaConfig& config, DType dtype, size_t block_tokens) {
  KvLayout layout{.block_tokens = block_tokens, .dtype = dtype};
  layout.layer_bytes = 2 * block_tokens * row_bytes(dtype, config.kv_dim());
  layout.block_bytes = config.layers * layout.layer_bytes;
  return layout;
}

ops::KvLayer KvLayout::layer(const LlamaConfig& config, size_t index,
                             std::span<std::byte* const> blocks) const {
  return {.blocks = blocks,
          .key_offset = index * layer_bytes,
          .value_offset = index * layer_bytes + layer_bytes / 2,
          .block_tokens = block_tokens,
          .kv_heads = config.kv_heads,
          .head_dim = config.head_dim,
          .dtype = dtype};
}

namespace {

// The one list of buffers, used to size the block and to cut it: visit(bytes) returns where a
// buffer begins.
struct BufferSizes {
  size_t dim, q, kv, ffn, logits, prepared;

  static BufferSizes of(const LlamaConfig& c, const ops::Ops& ops, size_t tokens, size_t outputs) {
    const size_t widest = std::max({c.dim, c.q_dim(), c.ffn_dim});
    // Quantised weights share one form of input; Q8_0 stands for them.
    const size_t block = dtype_info(DType::kQ8_0).block_elements;
    return {.dim = tokens * c.dim,
            .q = tokens * c.q_dim(),
            .kv = tokens * c.kv_dim(),
            .ffn = tokens * c.ffn_dim,
            .logits = outputs * c.vocabulary,
            .prepared = ops.prepared_bytes(DType::kQ8_0, tokens, round_up(widest, block))};
  }
};

class Cutter {
 public:
  explicit Cutter(std::byte* block) : block_(block) {}
  std::span<std::byte> bytes(size_t size) {
    std::byte* begin = block_ == nullptr ? nullptr : block_ + used_;
    used_ += round_up(size, kCacheLine);
    return {begin, begin == nullptr ? 0 : size};
  }
  std::span<float> floats(size_t count) {
    const std::span<std::byte> cut = bytes(count * sizeof(float));
    return {reinterpret_cast<float*>(cut.data()), cut.size() / sizeof(float)};
  }
  size_t used() const { return used_; }

 private:
  std::byte* block_;
  size_t used_ = 0;
};

}  // namespace

size_t Activations::size_bytes(const LlamaConfig& config, const ops::Ops& ops, size_t tokens,
                               size_t outputs) {
  const BufferSizes s = BufferSizes::of(config, ops, tokens, outputs);
  Cutter cutter(nullptr);
  for (const size_t count : {s.dim, s.dim, s.q, s.kv, s.kv, s.q, s.ffn, s.ffn, s.logits}) {
    cutter.floats(count);
  }
  cutter.bytes(s.prepared);
  return cutter.used();
}

Activations::Activations(const LlamaConfig& config, const ops::Ops& ops, size_t max_tokens,
                         size_t max_outputs, std::span<std::byte> block)
    : tokens(max_tokens), outputs(max_outputs) {
  SPILLWAY_CHECK(block.size() >= size_bytes(config, ops, max_tokens, max_outputs));
  const BufferSizes s = BufferSizes::of(config, ops, max_tokens, max_outputs);
  Cutter cutter(block.data());
  residual = cutter.floats(s.dim);
  normed = cutter.floats(s.dim);
  q = cutter.floats(s.q);
  k = cutter.floats(s.kv);
  v = cutter.floats(s.kv);
  attended = cutter.floats(s.q);
  gate = cutter.floats(s.ffn);
  up = cutter.floats(s.ffn);
  logits = cutter.floats(s.logits);
  prepared = cutter.bytes(s.prepared);
}

}  // namespace spillway::model

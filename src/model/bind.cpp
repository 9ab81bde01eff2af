// Finding the weights of a model among the tensors of its files.
#include <fmt/format.h>
#include <algorithm>
#include <array>

#include "base/check.h"
#include "model/transformer.h"

namespace spillway::model {
namespace {

using formats::GgufTensor;

// What files may hold although nothing here asks for it.
bool may_be_unused(std::string_view name) {
  constexpr std::array kNames = {std::string_view("rope_factors_long.weight"),
                                 std::string_view("rope_factors_short.weight")};
  return std::ranges::find(kNames, name) != kNames.end() || name.ends_with(".attn_rot_embd.weight");
}

// Some rows of a tensor that holds several matrices, or all of one.
struct Part {
  size_t first_row = 0;
  size_t rows = 0;
  size_t of_rows = 0;
  std::string name = {};  // what the matrix is called; empty: as the tensor
};

}  // namespace

class Binder {
 public:
  Binder(Transformer& model, const TensorIndex& tensors)
      : model_(model), tensors_(tensors), used_(tensors.tensors().size(), false) {}

  Result<void> bind() {
    ModelConfig& c = model_.config_;
    const GgufTensor* table = find("token_embd.weight");
    if (table == nullptr) return missing("token_embd.weight");
    SPILLWAY_ASSIGN(c.vocabulary, checked_rows(*table));
    SPILLWAY_ASSIGN(model_.embedding_, matrix("token_embd.weight", whole(c.vocabulary), c.dim));
    for (size_t i = 0; i < c.layers; ++i) SPILLWAY_TRY(layer(i));
    SPILLWAY_ASSIGN(model_.output_norm_, vector("output_norm.weight", c.dim, c.norm_offset));
    SPILLWAY_TRY(rope_factors());
    const bool own_head = find("output.weight") != nullptr;
    if (c.tied ? !*c.tied : own_head) {
      SPILLWAY_ASSIGN(Weight output, matrix("output.weight", whole(c.vocabulary), c.dim));
      model_.weights_.push_back(std::move(output));
    } else {
      model_.weights_.push_back(model_.embedding_);
    }
    return nothing_left();
  }

 private:
  using SmallId = Transformer::SmallId;
  using Linear = Transformer::Linear;

  static tl::unexpected<Error> missing(const std::string& name) {
    return fail(ErrorCode::kBadFile, "the tensor {} is missing", name);
  }
  static Part whole(size_t rows) { return {.rows = rows, .of_rows = rows}; }

  static Result<size_t> checked_rows(const GgufTensor& table) {
    constexpr uint64_t kMost = 1 << 24;
    if (table.rows() == 0 || table.rows() > kMost) {
      return fail(ErrorCode::kBadFile, "{} has {} rows; 1 to {} are supported", table.name,
                  table.rows(), kMost);
    }
    return table.rows();
  }

  const GgufTensor* find(const std::string& name) {
    const GgufTensor* tensor = tensors_.find(name);
    if (tensor != nullptr) used_[static_cast<size_t>(tensor - tensors_.tensors().data())] = true;
    return tensor;
  }

  Result<Weight> matrix(const std::string& name, const Part& part, size_t columns) {
    const GgufTensor* tensor = find(name);
    if (tensor == nullptr) return missing(name);
    if (tensor->dimensions.size() > 2 || tensor->columns() != columns ||
        tensor->rows() != part.of_rows) {
      return fail(ErrorCode::kBadFile, "the tensor {} has shape [{}], expected [{}, {}]", name,
                  fmt::join(tensor->dimensions, ", "), columns, part.of_rows);
    }
    return Weight{
        .name = part.name.empty() ? name : part.name,
        .dtype = tensor->dtype,
        .rows = part.rows,
        .columns = columns,
        .file_offset = tensor->offset + part.first_row * row_bytes(tensor->dtype, columns)};
  }

  // `first` elements of the tensor lie before those that are meant.
  Result<SmallId> vector(const std::string& name, size_t size, float offset = 0.0F,
                         const Part& part = {}) {
    const GgufTensor* tensor = find(name);
    if (tensor == nullptr) return missing(name);
    const size_t all = part.of_rows == 0 ? size : part.of_rows;
    const DTypeInfo& info = dtype_info(tensor->dtype);
    if (info.block_elements != 1 || tensor->columns() != all || tensor->rows() != 1) {
      return fail(ErrorCode::kBadFile, "the tensor {} is {} [{}], expected floats [{}]", name,
                  info.name, fmt::join(tensor->dimensions, ", "), all);
    }
    return add({.name = name,
                .dtype = tensor->dtype,
                .file_offset = tensor->offset + part.first_row * info.block_bytes,
                .size = size,
                .offset = offset,
                .values = {}});
  }

  SmallId add(SmallTensor tensor) {
    model_.small_tensors_.push_back(std::move(tensor));
    return model_.small_tensors_.size() - 1;
  }

  // "blk.0.attn_q" of [rows, columns], and its bias if the file has one.
  Result<Linear> linear(const std::string& name, const Part& part, size_t columns) {
    Linear result;
    SPILLWAY_ASSIGN(Weight weight, matrix(name + ".weight", part, columns));
    model_.weights_.push_back(std::move(weight));
    result.weight = model_.weights_.size() - 1;
    if (find(name + ".bias") != nullptr) {
      SPILLWAY_ASSIGN(result.bias, vector(name + ".bias", part.rows, 0.0F, part));
    }
    return result;
  }

  Result<void> attention(const std::string& prefix, Transformer::Layer& layer) {
    const ModelConfig& c = model_.config_;
    const Architecture& architecture = *c.architecture;
    SPILLWAY_ASSIGN(layer.attention_norm,
                    vector(prefix + "attn_norm.weight", c.dim, c.norm_offset));
    const std::string fused = prefix + "attn_qkv";
    const size_t all = c.q_dim() + 2 * c.kv_dim();
    if (architecture.fused && find(fused + ".weight") != nullptr) {
      const Part q{0, c.q_dim(), all, prefix + "attn_q.weight"};
      const Part k{c.q_dim(), c.kv_dim(), all, prefix + "attn_k.weight"};
      const Part v{all - c.kv_dim(), c.kv_dim(), all, prefix + "attn_v.weight"};
      SPILLWAY_ASSIGN(layer.wq, linear(fused, q, c.dim));
      SPILLWAY_ASSIGN(layer.wk, linear(fused, k, c.dim));
      SPILLWAY_ASSIGN(layer.wv, linear(fused, v, c.dim));
    } else {
      SPILLWAY_ASSIGN(layer.wq, linear(prefix + "attn_q", whole(c.q_dim()), c.dim));
      SPILLWAY_ASSIGN(layer.wk, linear(prefix + "attn_k", whole(c.kv_dim()), c.dim));
      SPILLWAY_ASSIGN(layer.wv, linear(prefix + "attn_v", whole(c.kv_dim()), c.dim));
    }
    if (architecture.qkv_bias && !(layer.wq.bias && layer.wk.bias && layer.wv.bias)) {
      return missing(prefix + "attn_{q,k,v}.bias");
    }
    if (architecture.qk_norm) {
      SPILLWAY_ASSIGN(layer.q_norm,
                      vector(prefix + "attn_q_norm.weight", c.head_dim, c.norm_offset));
      SPILLWAY_ASSIGN(layer.k_norm,
                      vector(prefix + "attn_k_norm.weight", c.head_dim, c.norm_offset));
    }
    SPILLWAY_ASSIGN(layer.wo, linear(prefix + "attn_output", whole(c.dim), c.q_dim()));
    return {};
  }

  Result<void> feed_forward(const std::string& prefix, Transformer::Layer& layer) {
    const ModelConfig& c = model_.config_;
    SPILLWAY_ASSIGN(layer.ffn_norm, vector(prefix + "ffn_norm.weight", c.dim, c.norm_offset));
    if (c.architecture->fused && find(prefix + "ffn_gate.weight") == nullptr) {
      const std::string fused = prefix + "ffn_up";
      const Part gate{0, c.ffn_dim, 2 * c.ffn_dim, prefix + "ffn_gate.weight"};
      const Part up{c.ffn_dim, c.ffn_dim, 2 * c.ffn_dim, prefix + "ffn_up.weight"};
      SPILLWAY_ASSIGN(layer.w_gate, linear(fused, gate, c.dim));
      SPILLWAY_ASSIGN(layer.w_up, linear(fused, up, c.dim));
    } else {
      SPILLWAY_ASSIGN(layer.w_gate, linear(prefix + "ffn_gate", whole(c.ffn_dim), c.dim));
      SPILLWAY_ASSIGN(layer.w_up, linear(prefix + "ffn_up", whole(c.ffn_dim), c.dim));
    }
    SPILLWAY_ASSIGN(layer.w_down, linear(prefix + "ffn_down", whole(c.dim), c.ffn_dim));
    return {};
  }

  Result<void> layer(size_t index) {
    const ModelConfig& c = model_.config_;
    const std::string prefix = fmt::format("blk.{}.", index);
    Transformer::Layer layer;
    SPILLWAY_TRY(attention(prefix, layer));
    SPILLWAY_TRY(feed_forward(prefix, layer));
    if (c.architecture->post_norms) {
      SPILLWAY_ASSIGN(layer.post_attention_norm,
                      vector(prefix + "post_attention_norm.weight", c.dim, c.norm_offset));
      SPILLWAY_ASSIGN(layer.post_ffn_norm,
                      vector(prefix + "post_ffw_norm.weight", c.dim, c.norm_offset));
    }
    model_.layers_.push_back(layer);
    return {};
  }

  // A tensor of the file, or numbers of the configuration.
  Result<void> rope_factors() {
    const ModelConfig& c = model_.config_;
    if (!c.rope.factors.empty()) {
      model_.rope_factors_ =
          add({.name = "RoPE factors", .size = c.rope.factors.size(), .values = c.rope.factors});
      return {};
    }
    const char* name = c.rope.short_factors ? "rope_factors_short.weight" : "rope_freqs.weight";
    if (find(name) == nullptr) return {};
    SPILLWAY_ASSIGN(model_.rope_factors_, vector(name, c.rope_dims / 2));
    return {};
  }

  // A tensor that nobody asked for would have changed what the model says.
  Result<void> nothing_left() const {
    const auto& tensors = tensors_.tensors();
    for (size_t i = 0; i < tensors.size(); ++i) {
      if (used_[i] || may_be_unused(tensors[i].name)) continue;
      return fail(ErrorCode::kBadFile,
                  "the tensor {} is none that a model of architecture '{}' has", tensors[i].name,
                  model_.config_.architecture->name);
    }
    return {};
  }

  Transformer& model_;
  const TensorIndex& tensors_;
  std::vector<bool> used_;
};

Result<Transformer> Transformer::bind(ModelConfig config, const TensorIndex& tensors) {
  Transformer model;
  model.config_ = std::move(config);
  SPILLWAY_TRY(Binder(model, tensors).bind());
  return model;
}

}  // namespace spillway::model

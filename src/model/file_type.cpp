#include "model/file_type.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "model/tensor_names.h"

namespace spillway::model {
namespace {

constexpr std::array kFileTypes = {
    FileType{"F32", 0, DType::kF32},
    FileType{"F16", 1, DType::kF16},
    FileType{"BF16", 32, DType::kBF16},
    FileType{"Q4_0", 2, DType::kQ4_0},
    FileType{"Q4_1", 3, DType::kQ4_1},
    FileType{"Q5_0", 8, DType::kQ5_0},
    FileType{"Q5_1", 9, DType::kQ5_1},
    FileType{"Q8_0", 7, DType::kQ8_0},
    FileType{"Q4_K_S", 14, DType::kQ4_K, Finer::kFirstLayers, DType::kQ5_K},
    FileType{"Q4_K_M", 15, DType::kQ4_K, Finer::kSomeLayers, DType::kQ6_K},
    FileType{"Q5_K_S", 16, DType::kQ5_K},
    FileType{"Q5_K_M", 17, DType::kQ5_K, Finer::kSomeLayers, DType::kQ6_K},
    FileType{"Q6_K", 18, DType::kQ6_K},
};

constexpr size_t kFinerValues = 4;  // layers of an "S" mixture

bool is_float(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

bool is_finer(const TensorMixture& mixture, std::string_view name) {
  const auto layer = layer_of_tensor(name);
  const bool values = name.find("attn_v.") != std::string_view::npos;
  const bool down = name.find("ffn_down.") != std::string_view::npos;
  if (!layer || !(values || down)) return false;
  const size_t eighth = mixture.layers / 8;
  switch (mixture.type.finer) {
    case Finer::kNone:
      return false;
    case Finer::kFirstLayers:
      return *layer < (values ? kFinerValues : eighth);
    case Finer::kSomeLayers:
      return *layer < eighth || *layer >= 7 * mixture.layers / 8 || (*layer - eighth) % 3 == 2;
  }
  return false;
}

DType coarser_blocks(DType dtype) {
  switch (dtype) {
    case DType::kQ4_K:
      return DType::kQ5_0;
    case DType::kQ5_K:
      return DType::kQ5_1;
    case DType::kQ6_K:
      return DType::kQ8_0;
    default:
      return DType::kF16;
  }
}

DType wanted_dtype(const TensorMixture& mixture, std::string_view name) {
  const FileType& type = mixture.type;
  if (mixture.pure || is_float(type.dtype)) return type.dtype;
  // The last matrix decides about every token: it is kept at six bits at least.
  const bool output = name == (mixture.own_output ? "output.weight" : "token_embd.weight");
  if (output) return type.dtype == DType::kQ8_0 ? DType::kQ8_0 : DType::kQ6_K;
  return is_finer(mixture, name) ? type.finer_dtype : type.dtype;
}

}  // namespace

std::optional<FileType> find_file_type(std::string_view name) {
  std::string upper(name);
  std::ranges::transform(upper, upper.begin(),
                         [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  if (upper == "Q4_K" || upper == "Q5_K") upper += "_M";
  const auto found = std::ranges::find(kFileTypes, std::string_view(upper), &FileType::name);
  if (found == kFileTypes.end()) return std::nullopt;
  return *found;
}

std::string file_type_names() {
  std::string names;
  for (const FileType& type : kFileTypes)
    names += fmt::format("{}{}", names.empty() ? "" : ", ", type.name);
  return names;
}

std::optional<DType> dtype_in_mixture(const TensorMixture& mixture,
                                      const formats::GgufTensor& tensor) {
  const std::string_view name = tensor.name;
  if (tensor.dimensions.size() < 2 || !name.ends_with("weight") ||
      name.find("_norm") != std::string_view::npos) {
    return std::nullopt;
  }
  DType dtype = wanted_dtype(mixture, name);
  while (tensor.columns() % dtype_info(dtype).block_elements != 0) dtype = coarser_blocks(dtype);
  return dtype;
}

}  // namespace spillway::model

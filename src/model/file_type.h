// The mixtures of dtypes that whole files are quantised to, by the names that llama.cpp's users
// know (Q4_K_M, …), and the dtype of each tensor in one. Source: llama.cpp's llama-quantize. Pure
// functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "formats/gguf.h"
#include "tensor/dtype.h"

namespace spillway::model {

// Which tensors of a mixture are kept finer than the rest.
enum class Finer {
  kNone,
  kFirstLayers,  // the "S" mixtures: values of the first four, feed-forward of the first eighth
  kSomeLayers    // the "M" mixtures: both of the first and last eighth, and of each third between
};

struct FileType {
  std::string_view name;
  uint32_t number;  // general.file_type
  DType dtype;      // of most tensors
  Finer finer = Finer::kNone;
  DType finer_dtype = DType::kF32;
};

// "q4_k_m", "Q4_K" (the same), "BF16" …; none: not one of ours.
std::optional<FileType> find_file_type(std::string_view name);
std::string file_type_names();  // "F32, F16, …": for messages

// What decides about tensors beside their names.
struct TensorMixture {
  FileType type;
  size_t layers = 0;
  bool own_output = false;  // the file has an output matrix; else it is the embedding table
  bool pure = false;        // all matrices alike
};

// Vectors, norms and what is no weight stay as they are: none. Rows that are not whole blocks get
// the next format with smaller ones: Q4_K → Q5_0, Q5_K → Q5_1, Q6_K → Q8_0, any → F16.
std::optional<DType> dtype_in_mixture(const TensorMixture& mixture,
                                      const formats::GgufTensor& tensor);

}  // namespace spillway::model

// The numbers of a model written as the two kinds of files name them: the way back of config.h.
// Functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "formats/gguf_writer.h"
#include "model/config.h"

namespace spillway::model {

// All that read_gguf_config reads, general.architecture first. kBadFile: GGUF has no place for it.
// RoPE's factors are tensors (rope_freqs.weight …), which are not added here.
Result<void> add_gguf_config(const ModelConfig& config, formats::GgufHeader& header);

// What config.json says beside the model's numbers.
struct HuggingFaceFacts {
  DType dtype = DType::kBF16;  // of the weights: F32, F16 or BF16
  bool tied = false;           // the embedding table is the output head
  std::optional<uint64_t> bos, eos, padding;
};

// The text of config.json; RoPE's factors are read before, where they are tensors. kBadFile:
// transformers has no place for it, or it is not known here.
Result<std::string> huggingface_config(const ModelConfig& config, const HuggingFaceFacts& facts);

}  // namespace spillway::model

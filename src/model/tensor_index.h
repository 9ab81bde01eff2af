// The tensors of a model by the names that GGUF gives them, wherever their bytes lie. Values; const
// members are thread-safe.
#pragma once

#include <string_view>
#include <vector>

#include "formats/gguf.h"

namespace spillway::model {

class TensorIndex {
 public:
  // Of two tensors with one name one is found; readers refuse such files before.
  explicit TensorIndex(std::vector<formats::GgufTensor> tensors);

  const std::vector<formats::GgufTensor>& tensors() const { return tensors_; }  // by name
  const formats::GgufTensor* find(std::string_view name) const;

 private:
  std::vector<formats::GgufTensor> tensors_;
};

}  // namespace spillway::model

#include "model/tensor_index.h"

#include <algorithm>

namespace spillway::model {

TensorIndex::TensorIndex(std::vector<formats::GgufTensor> tensors) : tensors_(std::move(tensors)) {
  std::ranges::sort(tensors_, {}, &formats::GgufTensor::name);
}

const formats::GgufTensor* TensorIndex::find(std::string_view name) const {
  const auto found = std::ranges::lower_bound(tensors_, name, {}, &formats::GgufTensor::name);
  return found == tensors_.end() || found->name != name ? nullptr : &*found;
}

}  // namespace spillway::model

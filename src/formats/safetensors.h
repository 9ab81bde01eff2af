// Weights in the safetensors format: a hostile file in, a description out. A header is bounded
// before it is read, and no size in it is believed before it was checked against the file.
// Specification: the README of Hugging Face's safetensors ("Format"). Values; const members are
// thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "formats/gguf.h"
#include "platform/platform.h"

namespace spillway::formats {

struct SafetensorsLimits {
  uint64_t header_bytes = 100'000'000;  // by the reference implementation
  // For what is kept of the header, and its text while it is read; kBudget beyond.
  uint64_t memory_bytes = uint64_t{512} << 20;
};

// A tensor of numbers that we do not compute with (integers, 8-bit floats): checked, not offered.
struct OtherTensor {
  std::string name;
  std::string type;  // "I64"
};

struct SafetensorsHeader {
  // F32, F16 and BF16. Dimensions in GGUF's order, columns first; a scalar has none. In the order
  // of their bytes in the file, which they fill without a gap.
  std::vector<GgufTensor> tensors;
  std::vector<OtherTensor> others;
};

// kBadFile names the tensor, the value and why it cannot be; kMachine if reading fails.
Result<SafetensorsHeader> read_safetensors(const platform::File& file,
                                           SafetensorsLimits limits = {});

// Pairs of a tensor's name and a file's: what an index says.
using WeightMap = std::vector<std::pair<std::string, std::string>>;

struct FolderTensor {
  GgufTensor tensor;
  size_t file = 0;  // index into SafetensorsFolder::files()
};
inline std::string_view name_of(const FolderTensor& tensor) {
  return tensor.tensor.name;
}

// The weights of a Hugging Face folder: model.safetensors, or the shards that
// model.safetensors.index.json names.
class SafetensorsFolder {
 public:
  // Messages begin with the path. kBadFile: neither is there, the index names files outside the
  // folder or tensors that are in none, or a tensor is in two.
  static Result<SafetensorsFolder> open(platform::Platform& platform, const std::string& folder,
                                        platform::OpenOptions options = {},
                                        SafetensorsLimits limits = {});

  const std::vector<std::unique_ptr<platform::File>>& files() const { return files_; }
  // To be kept by whoever reads the weights; files() is empty afterwards.
  std::vector<std::unique_ptr<platform::File>> take_files() { return std::move(files_); }
  const std::vector<FolderTensor>& tensors() const { return tensors_; }
  const std::vector<OtherTensor>& others() const { return others_; }
  const FolderTensor* find_tensor(std::string_view name) const;

 private:
  Result<void> add_file(std::unique_ptr<platform::File> file, SafetensorsLimits limits);
  Result<void> index_names(const std::string& folder);
  Result<void> check_listed(const WeightMap& map) const;

  std::vector<std::unique_ptr<platform::File>> files_;
  std::vector<FolderTensor> tensors_;
  std::vector<OtherTensor> others_;
  std::vector<size_t> tensors_by_name_;  // positions, sorted (gguf_index.h)
};

}  // namespace spillway::formats

// A Hugging Face folder that is to be made of a GGUF file: its texts, and where the tensors of its
// shards come from. Values; one thread.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "engine/tensor_copy.h"
#include "formats/gguf.h"

namespace spillway::engine {

struct FolderDraft {
  struct Text {
    std::string name;  // "config.json"
    std::string content;
  };
  struct Shard {
    std::string name;
    std::vector<formats::GgufTensor> tensors;  // as the shard's header names them
    std::vector<TensorCopy> copies;            // of each

    uint64_t data_bytes() const;
  };

  std::vector<Text> texts;
  std::vector<Shard> shards;

  uint64_t text_bytes() const;
  uint64_t size_bytes() const;  // without the shards' headers
};

// Weights in the file's own dtype where that is F32 or F16, else in BF16. Takes the vocabulary out
// of `source`; `file` and `source` are one file, which the draft reads. kBadFile: transformers has
// no place for the model, or the file is damaged.
Result<FolderDraft> draft_of_folder(const platform::File& file, formats::GgufFile& source);

}  // namespace spillway::engine

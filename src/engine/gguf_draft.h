// A GGUF file that is to be written: its metadata, and where each tensor comes from. Values; one
// thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/tensor_copy.h"
#include "formats/gguf_writer.h"
#include "formats/safetensors.h"
#include "model/file_type.h"

namespace spillway::engine {

struct GgufDraft {
  formats::GgufHeader header =
      formats::GgufHeader();             // the metadata; the tensors are added when it is finished
  std::vector<TensorCopy> tensors = {};  // their names are those that the copy has
  size_t layers = 0;
  uint32_t file_type = 0;  // general.file_type
};

// The same file again, but for what says how it is quantised. kBadFile: it is one part of several.
// `file` and `source` are one file, which the draft reads.
Result<GgufDraft> draft_of_gguf(const platform::File& file, const formats::GgufFile& source);

// Of a Hugging Face folder, weights in the dtypes that they have there, vectors in F32. `weights`
// are the folder's, which the draft reads. Messages begin with a path. kBadFile: GGUF has no place
// for the model, or a file is damaged.
Result<GgufDraft> draft_of_gguf(platform::Platform& platform, const std::string& folder,
                                const formats::SafetensorsFolder& weights);

struct QuantiseOptions {
  model::FileType type;
  bool pure = false;        // all matrices alike
  bool requantise = false;  // what is quantised already, too: worse than from floats
};

// Gives the tensors the dtypes of a mixture. kUsage: one is quantised already.
Result<void> choose_dtypes(GgufDraft& draft, const QuantiseOptions& options);

// Adds the tensors to the header, as the last thing before the draft is written.
void finish(GgufDraft& draft);

// Called again and again with the tensor at hand, from 0; false stops with kInterrupted.
using TensorProgress = std::function<bool(size_t tensor)>;

Result<void> write_gguf(const GgufDraft& draft, TensorCopier& copier, const ByteSink& sink,
                        const TensorProgress& progress);

}  // namespace spillway::engine

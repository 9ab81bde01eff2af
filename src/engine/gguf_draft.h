// A GGUF file that is to be written: its metadata, and where each tensor comes from. Values; one
// thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/tensor_copy.h"
#include "formats/gguf_writer.h"
#include "model/file_type.h"

namespace spillway::engine {

struct GgufDraft {
  formats::GgufHeader header;       // the metadata; the tensors are added when it is finished
  std::vector<TensorCopy> tensors;  // their names are those that the copy has
  size_t layers = 0;
};

// The same file again, but for what says how it is quantised. kBadFile: it is one part of several.
// `file` and `source` are one file, which the draft reads.
Result<GgufDraft> draft_of_gguf(const platform::File& file, const formats::GgufFile& source);

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

// A model that is to be written as a GGUF file, whatever it comes from. Owned by one command; one
// thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "engine/gguf_draft.h"
#include "formats/safetensors.h"
#include "platform/platform.h"

namespace spillway::cli {

struct ModelSource {
  std::unique_ptr<platform::File> file;               // a GGUF file's
  std::optional<formats::SafetensorsFolder> weights;  // a folder's
  engine::GgufDraft draft;                            // reads from them
  uint64_t header_bytes = 0;                          // kept of the source's headers, about
  uint64_t size_bytes = 0;                            // of the source's weights and headers

  // A GGUF file, or a Hugging Face folder. Messages begin with the path. kBadFile, kMachine;
  // kBudget: a header takes more than `header_limit`.
  static Result<ModelSource> open(platform::Platform& platform, const std::string& path,
                                  uint64_t header_limit);
};

}  // namespace spillway::cli

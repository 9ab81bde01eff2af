// A GGUF model in one file or, as gguf-split writes it, in several: "name-00001-of-00003.gguf" …
// The first has the metadata. Functions and values; any thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/gguf.h"
#include "platform/platform.h"

namespace spillway::engine {

struct GgufShards {
  std::unique_ptr<platform::File> file;      // all files joined
  formats::GgufFile header;                  // of the first
  std::vector<formats::GgufTensor> tensors;  // of all, at their places in the joined file
};

// kBadFile: a file that is missing or not a shard of this model, or not the first was named;
// kMachine. Messages begin with the path.
Result<GgufShards> open_gguf(platform::Platform& platform, const std::string& path,
                             platform::OpenOptions options);

// kBadFile: the file is a part of a model in several files, and who asks reads one only.
Result<void> check_whole(const formats::GgufFile& file);

}  // namespace spillway::engine

// Several files as one: a model that was cut into shards. Each begins at an offset of its own, far
// behind the end of the one before; what lies between reads as zeros. Owned by whoever joined them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "platform/platform.h"

namespace spillway::platform {

struct JoinedFile {
  std::unique_ptr<File> file;
  std::vector<uint64_t> offsets;  // where each part begins
};

// At least one part. A single one is handed back as it is. Several cannot be mapped, and
// cached_bytes() says 0, so that nobody tries. Reads of a queue stay within one part.
JoinedFile join_files(const std::string& path, std::vector<std::unique_ptr<File>> parts);

}  // namespace spillway::platform

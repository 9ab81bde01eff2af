// Texts that the user names by a path. Any thread.
#pragma once

#include <string>

#include "base/result.h"

namespace spillway::cli {

// All of it. kBadFile: it cannot be read, or is empty.
Result<std::string> read_text_file(const std::string& path);

}  // namespace spillway::cli

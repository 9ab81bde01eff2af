// Reads the text files that commands are given. A function; any thread.
#pragma once

#include <string>

#include "base/result.h"

namespace spillway::cli {

// All of the file; of standard input for "-". kBadFile: it cannot be read, or is empty.
Result<std::string> read_text(const std::string& path);

}  // namespace spillway::cli

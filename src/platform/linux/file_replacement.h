// Platform::replace on Linux. One thread.
#pragma once

#include <memory>
#include <string>

#include "platform/platform.h"

namespace spillway::platform {

Result<std::unique_ptr<FileReplacement>> replace_file(const std::string& path);

}  // namespace spillway::platform

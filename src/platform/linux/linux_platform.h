// The real machine. See platform.h for the contracts.
#pragma once

#include <memory>

#include "platform/platform.h"

namespace spillway::platform {

std::unique_ptr<Platform> make_linux_platform();

// For the program's main(), once: when a mapped file was truncated by somebody and a page of it is
// touched, the process writes `message` to stderr and ends with `exit_code`, where it would
// otherwise die of SIGBUS. Both are copied; any thread may hit it later.
void exit_on_truncated_mapping(std::string_view message, int exit_code);

}  // namespace spillway::platform

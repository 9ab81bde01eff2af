// The real machine. See platform.h for the contracts.
#pragma once

#include <atomic>
#include <memory>
#include <string_view>

#include "platform/platform.h"

namespace spillway::platform {

std::unique_ptr<Platform> make_linux_platform();

// For the program's main(), once: when a mapped file was truncated by somebody and a page of it is
// touched, the process writes `message` to stderr and ends with `exit_code`, where it would
// otherwise die of SIGBUS. Both are copied; any thread may hit it later.
void exit_on_truncated_mapping(std::string_view message, int exit_code);

// For the program's main thread: from now on the first SIGINT or SIGTERM only sets the flag that is
// returned and clear now; whoever computes looks at it and ends cleanly. A second signal kills as
// usual. The flag may be read on any thread.
const std::atomic<bool>& stop_on_interrupt();
// From now on the first signal kills as usual.
void end_on_interrupt();
// The signal that has set the flag was SIGTERM.
bool asked_to_end();

}  // namespace spillway::platform

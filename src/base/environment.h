// What the environment of the process tells: the only place that reads it. Call from the start of a
// program; any thread.
#pragma once

#include <string>

namespace spillway {

// Where this user's programs keep what can be made again: $XDG_CACHE_HOME/spillway, or
// $HOME/.cache/spillway; empty if neither is set.
std::string cache_directory();

}  // namespace spillway

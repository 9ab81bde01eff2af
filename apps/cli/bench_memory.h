// spillway bench memory.
#pragma once

#include "cli/command_line.h"

namespace spillway::cli {

void add_memory_bench(Command& parent);

}  // namespace spillway::cli

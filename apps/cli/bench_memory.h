// spillway bench memory.
#pragma once

#include "cli/commands.h"

namespace spillway::cli {

void add_memory_bench(CLI::App& parent, Action& chosen);

}  // namespace spillway::cli

// spillway bench disk, and how its figures read. One thread.
#pragma once

#include <string>

#include "cli/command_line.h"
#include "cli/disk_bound.h"

namespace spillway::cli {

void add_disk_bench(Command& parent);

// "disk: 1.92 GB/s in blocks of …": one line without its end.
std::string describe(const DiskBound& disk);

}  // namespace spillway::cli

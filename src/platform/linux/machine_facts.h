// What /proc and /sys tell about the machine. Pure functions of the files under `root`, which is ""
// for the real ones and a folder of copies in tests. Any thread.
#pragma once

#include <string>

#include "platform/platform.h"

namespace spillway::platform {

Result<HostMemory> read_host_memory(const std::string& root);
Processor read_processor(const std::string& root);
std::string read_machine_id(const std::string& root);

struct CgroupMemory {
  uint64_t limit_bytes = 0;  // 0: none
  uint64_t usage_bytes = 0;
  std::string limit_file;  // that holds the limit, as this process sees it
};
// Of the cgroup, among those that enclose this process, that leaves the least.
CgroupMemory read_cgroup_memory(const std::string& root);

}  // namespace spillway::platform

#include "platform/platform.h"

#include <algorithm>

namespace spillway::platform {

uint64_t HostMemory::free_bytes() const {
  if (cgroup_limit_bytes == 0) return available_bytes;
  const uint64_t left =
      cgroup_limit_bytes > cgroup_usage_bytes ? cgroup_limit_bytes - cgroup_usage_bytes : 0;
  return std::min(available_bytes, left);
}

}  // namespace spillway::platform

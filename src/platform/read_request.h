// What every queue demands of a request. For the implementations of ReadQueue.
#pragma once

#include "base/check.h"
#include "platform/platform.h"

namespace spillway::platform {

inline void check_request(const FileInfo& info, const ReadRequest& request) {
  SPILLWAY_CHECK(request.offset % info.offset_alignment == 0);
  SPILLWAY_CHECK(request.target.size() % info.offset_alignment == 0);
  SPILLWAY_CHECK(reinterpret_cast<uintptr_t>(request.target.data()) % info.memory_alignment == 0);
}

}  // namespace spillway::platform

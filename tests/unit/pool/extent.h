// How large the extents of these tests are.
#pragma once

#include "base/units.h"

namespace spillway::memory {

inline constexpr size_t kExtent = 64 * kKiB;

}  // namespace spillway::memory

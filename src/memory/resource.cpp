#include "spillway/memory/resource.h"

#include <bit>

#include "base/result.h"

namespace spillway::memory {

Result<void> check_alignment(size_t alignment) {
  if (std::has_single_bit(alignment) && alignment <= kAlignment) return {};
  return fail(ErrorCode::kUsage,
              "an alignment of {} is none that we have: ask for a power of two of at most {}",
              alignment, kAlignment);
}

}  // namespace spillway::memory

#include "spillway/memory/adaptors/limit.h"

#include "base/result.h"
#include "base/units.h"

namespace spillway::memory {

// Compare and exchange, not add and take back: a refusal must not make others fail meanwhile.
Result<void> ByteLimit::take(size_t bytes) {
  const size_t size = aligned_size(bytes);
  size_t held = held_bytes_;
  do {
    if (size > limit_bytes_ || held > limit_bytes_ - size) {
      return fail(ErrorCode::kBudget,
                  "the limit of {} is too small: {} are held and {} more are asked for; raise it "
                  "or ask for less",
                  format_size(limit_bytes_), format_size(held), format_size(size));
    }
  } while (!held_bytes_.compare_exchange_weak(held, held + size));
  return {};
}

}  // namespace spillway::memory

#include "spillway/memory/adaptors/fault.h"

#include "base/result.h"

namespace spillway::memory {

Result<void> FaultCounter::count() {
  const uint64_t call = ++calls_;
  const bool fails =
      fault_.call != 0 && (fault_.for_good ? call >= fault_.call : call == fault_.call);
  if (!fails) return {};
  return fail(fault_.code, "allocation {} fails because a test asked for it", call);
}

}  // namespace spillway::memory

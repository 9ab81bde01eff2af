// Reads a Highway dispatch table for a target that is named, where HWY_DYNAMIC_DISPATCH would take
// the process's best. Included by files that have included hwy/highway.h, outside the targets'
// namespaces.
#pragma once

#include <cstdint>

#include "hwy/highway.h"

namespace spillway::ops::cpu::simd {

template <typename Table>
auto for_target(const Table& table, int64_t target) {
  hwy::ChosenTarget chosen;
  chosen.Update(target);
  return table[chosen.GetIndex()];
}

}  // namespace spillway::ops::cpu::simd

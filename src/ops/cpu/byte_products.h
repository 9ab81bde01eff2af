// Which of a processor's kernels are better than those that Highway reaches. One implementation per
// architecture: x86/, arm/. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/cpu/kernels.h"

namespace spillway::ops::cpu {

// `kernels` of one of Highway's targets that the processor supports, and before them the tables of
// what more it has: best first.
std::vector<CpuKernels> with_byte_products(CpuKernels kernels, int64_t target);

}  // namespace spillway::ops::cpu

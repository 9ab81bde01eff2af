#include <cpuid.h>

#include "ops/cpu/avx2/kernels.h"

namespace spillway::ops::cpu::avx2 {

bool vnni_supported() {
  // Intel SDM, volume 2, CPUID leaf 7, subleaf 1. GCC 12's __builtin_cpu_supports does not know it.
  constexpr unsigned kAvxVnni = 1U << 4;
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  if (!__builtin_cpu_supports("avx2")) return false;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax & kAvxVnni) != 0;
}

}  // namespace spillway::ops::cpu::avx2

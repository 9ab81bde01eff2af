#include <cpuid.h>

#include "ops/cpu/avx512/kernels.h"
#include "platform/tile_registers.h"

namespace spillway::ops::cpu::avx512 {

bool supported() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("gfni");
}

bool amx_supported() {
  // Intel SDM, volume 2, CPUID leaf 7. GCC 12's __builtin_cpu_supports does not know AMX.
  constexpr unsigned kTiles = 1U << 24;
  constexpr unsigned kTileIntegers = 1U << 25;
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  if (!supported() || __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  return (edx & kTiles) != 0 && (edx & kTileIntegers) != 0 && platform::request_tile_registers();
}

}  // namespace spillway::ops::cpu::avx512

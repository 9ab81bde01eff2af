#include "ops/cpu/avx512/kernels.h"

namespace spillway::ops::cpu::avx512 {

bool supported() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vnni");
}

}  // namespace spillway::ops::cpu::avx512

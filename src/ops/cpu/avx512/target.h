// The instructions that the kernels of this folder may use, for HWY_PUSH_ATTRIBUTES: every function
// between it and HWY_POP_ATTRIBUTES is compiled for them, and nothing else of its file is.
#pragma once

#define SPILLWAY_AVX512_TARGET \
  "avx512f,avx512vl,avx512dq,avx512bw,avx512vnni,gfni,avx2,fma,f16c,amx-tile,amx-int8"

// llama.cpp's AMX code, built by GCC 12, ends with an illegal instruction: that compiler's
// _tile_loadconfig says that it reads 8 bytes of the configuration, so that writing the other 56 is
// optimised away. For -include when the peer is built (docs/results/cpu.md).
#pragma once

#if defined(__cplusplus) && defined(__AMX_TILE__)
#include <immintrin.h>
#define _tile_loadconfig(config) \
  __asm__ volatile("ldtilecfg %0" ::"m"(*reinterpret_cast<const char(*)[64]>(config)))
#endif

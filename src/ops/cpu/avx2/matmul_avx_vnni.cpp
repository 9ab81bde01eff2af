#define SPILLWAY_BYTES_TARGET "avx2,fma,f16c,avxvnni"
#include "ops/cpu/avx2/isa_avx2.h"
#include "ops/cpu/avx2/kernels.h"
#include "ops/cpu/bytes/matmul-inl.h"

HWY_PUSH_ATTRIBUTES(SPILLWAY_BYTES_TARGET)
namespace spillway::ops::cpu::bytes {
namespace {

// Products of bytes by AVX-VNNI, which adds four at once within 32 bits.
struct AvxVnni : Avx2 {
  static constexpr bool is_signed(int /*centre*/) { return false; }

  template <class Format>
  static HWY_INLINE Ints block_dots(Bytes weights, Bytes input) {
    return reinterpret_cast<Ints>(_mm256_dpbusd_avx_epi32(_mm256_setzero_si256(),
                                                          reinterpret_cast<__m256i>(weights),
                                                          reinterpret_cast<__m256i>(input)));
  }

  template <class Format, size_t kTokens>
  static HWY_INLINE void dots(const std::byte* weights, const int8_t* x, size_t stride,
                              Ints (&sums)[2][kTokens]) {
    HWY_UNROLL(8)
    for (size_t quad = 0; quad < 8; ++quad) {
      const __m256i w = _mm256_load_si256(reinterpret_cast<const __m256i*>(weights) + quad);
      HWY_UNROLL(4)
      for (size_t t = 0; t < kTokens; ++t) {
        Ints& to = sums[Format::kScales == Per::k16 ? quad / 4 : 0][t];
        to = reinterpret_cast<Ints>(_mm256_dpbusd_avx_epi32(
            reinterpret_cast<__m256i>(to), w, four_values(x + t * stride + 4 * quad)));
      }
    }
  }
};

}  // namespace
}  // namespace spillway::ops::cpu::bytes
HWY_POP_ATTRIBUTES

namespace spillway::ops::cpu::avx2 {

void set_matmul_vnni(CpuKernels& kernels) {
  bytes::set_matmul<bytes::AvxVnni>(kernels);
}

}  // namespace spillway::ops::cpu::avx2

// Blocks of the formats that keep codes instead of numbers (IQ, MXFP4, TQ) as 16-bit integers and
// one scale per 32 columns: weight = values[c] × scales[c / 32]. That is exact, in every order of
// multiplying: a scale of 11 bits, a finer one of at most 6 and a level of at most 7 fit into a
// float. Source: gguf/quants.py of the gguf package. Pure functions; any thread.
#pragma once

#include <cstddef>
#include <cstdint>

namespace spillway::ops::cpu::scalar {

template <size_t kBlockColumns, size_t kBlockBytes>
struct CodeBlock {
  static constexpr size_t kColumns = kBlockColumns;
  static constexpr size_t kBytes = kBlockBytes;
};

// NOLINTBEGIN(readability-identifier-naming): the formats are known by these names.
struct IQ1_S : CodeBlock<256, 50> {
  static void unpack(const std::byte* block, int16_t* values, float* scales);
};
struct IQ1_M : CodeBlock<256, 56> {
  static void unpack(const std::byte* block, int16_t* values, float* scales);
};
struct IQ2_XXS : CodeBlock<256, 66> {
  static void unpack(const std::byte* block, int16_t* values, float* scales);
};
struct IQ2_XS : CodeBlock<256, 74> {
  static void unpack(const std::byte* block, int16_t* values, float* scales);
};
struct IQ2_S : CodeBlock<256, 82> {
  static void unpack(const std::byte* block, int16_t* values, float* scales);
};
struct IQ3_XXS : CodeBlock<256, 98> {
  static void unpack(const std::byte* block, int16_t* values, float* scales);
};
struct IQ3_S : CodeBlock<256, 110> {
  static void unpack(const std::byte* block, int16_t* values, float* scales);
};
struct IQ4_NL : CodeBlock<32, 18> {
  static void unpack(const std::byte* block, int16_t* values, float* scales);
};
struct IQ4_XS : CodeBlock<256, 136> {
  static void unpack(const std::byte* block, int16_t* values, float* scales);
};
struct MXFP4 : CodeBlock<32, 17> {
  static void unpack(const std::byte* block, int16_t* values, float* scales);
};
struct TQ1_0 : CodeBlock<256, 54> {
  static void unpack(const std::byte* block, int16_t* values, float* scales);
};
struct TQ2_0 : CodeBlock<256, 66> {
  static void unpack(const std::byte* block, int16_t* values, float* scales);
};
// NOLINTEND(readability-identifier-naming)

}  // namespace spillway::ops::cpu::scalar

// Weights of every kind come back bit for bit, and take the bytes that the layout says.
#include "ops/packed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <functional>
#include <random>
#include <vector>

#include "ops/packed_layout.h"

namespace spillway::ops {
namespace {

using Weight = std::vector<uint16_t>;

uint16_t to_bf16(float value) {
  return static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16);
}

Weight normal_weight(size_t elements, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> values(0.0F, 0.02F);
  Weight weight(elements);
  std::ranges::generate(weight, [&] { return to_bf16(values(random)); });
  return weight;
}

struct Packed {
  PackedForm form;
  std::vector<std::byte> bytes;
};

Packed packed(const Weight& weight) {
  Packed result{.form = find_packed_form(weight), .bytes = {}};
  result.bytes.resize(result.form.bytes());
  EXPECT_TRUE(pack(weight, result.form, result.bytes));
  return result;
}

Weight unpacked(const Packed& from, size_t count) {
  Weight weight(count);
  unpack_blocks(from.form, from.bytes.data(), from.bytes.data() + from.form.blocks_bytes(), weight);
  return weight;
}

double bits_each(const Packed& packed) {
  return 8.0 * static_cast<double>(packed.bytes.size()) / static_cast<double>(packed.form.elements);
}

TEST(Packed, EveryBitPatternComesBack) {
  Weight weight(1 << 16);
  for (size_t i = 0; i < weight.size(); ++i) weight[i] = static_cast<uint16_t>(i);
  EXPECT_EQ(unpacked(packed(weight), weight.size()), weight);
  std::ranges::shuffle(weight, std::mt19937(1));
  EXPECT_EQ(unpacked(packed(weight), weight.size()), weight);
}

TEST(Packed, WeightsTakeAboutElevenBits) {
  const Weight weight = normal_weight(64 * kPackedBlock, 1);
  const Packed result = packed(weight);
  EXPECT_EQ(unpacked(result, weight.size()), weight);
  EXPECT_GT(bits_each(result), 11.0);
  EXPECT_LT(bits_each(result), 11.3);
}

TEST(Packed, AllTheSame) {
  for (const int value : {0x0000, 0x8000, 0x7F80, 0xFFFF}) {
    const Weight weight(2 * kPackedBlock, static_cast<uint16_t>(value));
    const Packed result = packed(weight);
    EXPECT_EQ(unpacked(result, weight.size()), weight);
    EXPECT_LT(bits_each(result), 11.1);
  }
}

TEST(Packed, NoiseTakesMoreThanItHas) {
  std::mt19937 random(2);
  Weight weight(4 * kPackedBlock);
  std::ranges::generate(weight, [&] { return static_cast<uint16_t>(random()); });
  const Packed result = packed(weight);
  EXPECT_EQ(unpacked(result, weight.size()), weight);
  EXPECT_GT(bits_each(result), 16.0);
  EXPECT_GT(result.form.overflow_bytes, 0u);
}

TEST(Packed, AnyNumberOfElementsAndAnyFirstOnes) {
  std::mt19937 random(3);
  for (const size_t elements : {1u, 15u, 4095u, 4096u, 4097u, 6144u, 20000u}) {
    Weight weight = normal_weight(elements, static_cast<unsigned>(elements));
    for (auto& value : weight) {
      if (random() % 16 == 0) value = static_cast<uint16_t>(random());
    }
    const Packed result = packed(weight);
    for (const size_t count : {size_t{0}, size_t{1}, elements / 2, elements}) {
      const Weight first(weight.begin(), weight.begin() + static_cast<ptrdiff_t>(count));
      EXPECT_EQ(unpacked(result, count), first) << count << " of " << elements;
    }
    EXPECT_EQ(result.bytes.size(), result.form.prefix_bytes(elements) + result.form.overflow_bytes);
  }
  EXPECT_EQ(find_packed_form({}).bytes(), 0u);
}

// One block of noise among others costs its own bytes, not more room in every block.
TEST(Packed, ABlockThatDiffersOverflows) {
  Weight weight = normal_weight(32 * kPackedBlock, 4);
  const double before = bits_each(packed(weight));
  std::mt19937 random(4);
  for (size_t i = 0; i < kPackedBlock; ++i) {
    weight[7 * kPackedBlock + i] = static_cast<uint16_t>(random());
  }
  const Packed result = packed(weight);
  EXPECT_EQ(unpacked(result, weight.size()), weight);
  EXPECT_LT(bits_each(result), before + 8.0 / 32 + 0.05);
}

TEST(Packed, AWeightThatIsWrittenMeanwhileNeverLeavesItsBytes) {
  const Weight weight = normal_weight(8 * kPackedBlock, 5);
  const PackedForm form = find_packed_form(weight);
  std::mt19937 random(5);
  bool refused = false;
  for (const uint32_t every : {4096u, 256u, 16u, 1u}) {
    Weight written = weight;
    for (auto& value : written) {
      if (random() % every == 0) value = static_cast<uint16_t>(random());
    }
    constexpr std::byte kGuard{0xA5};
    std::vector<std::byte> bytes(form.bytes() + 64, kGuard);
    refused = !pack(written, form, std::span(bytes).first(form.bytes()));
    EXPECT_TRUE(std::all_of(bytes.end() - 64, bytes.end(), [&](auto b) { return b == kGuard; }));
  }
  EXPECT_TRUE(refused) << "all of it is noise by now";
}

}  // namespace
}  // namespace spillway::ops

// Elements become floats and come back in a stream, wherever they lie, as the CPU converts them.
#include "ops/floats.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "environment.h"
#include "ops/cpu/half.h"

namespace spillway::platform {
namespace {

class GpuFloats : public GpuContract {
 protected:
  size_t granules(size_t bytes) { return (bytes + granularity() - 1) / granularity(); }
};

constexpr size_t kHalves = 1 << 16;
constexpr size_t kFloats = 50001;

std::vector<std::byte> bytes_of(const auto& values) {
  std::vector<std::byte> bytes(values.size() * sizeof(values[0]));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

float widened(DType dtype, uint16_t half) {
  return dtype == DType::kBF16 ? ops::cpu::bf16_to_f32(half) : ops::cpu::f16_to_f32(half);
}

uint16_t narrowed(DType dtype, float value) {
  return dtype == DType::kBF16 ? ops::cpu::f32_to_bf16(value) : ops::cpu::f32_to_f16(value);
}

TEST_P(GpuFloats, EveryElementOf16BitsIsWidened) {
  std::vector<uint16_t> halves(kHalves);
  for (size_t i = 0; i < kHalves; ++i) halves[i] = static_cast<uint16_t>(i);
  const Pieces pieces(gpu(), {Place::kDevice}, granules(kHalves * sizeof(uint16_t)));
  const HostBuffer host(gpu(), kHalves * sizeof(float));
  const auto* floats = reinterpret_cast<const float*>(host.data());
  write(pieces.start(), bytes_of(halves));
  for (const DType dtype : {DType::kF16, DType::kBF16}) {
    must(ops::widen(gpu(), {dtype, pieces.start(), kHalves}, reinterpret_cast<float*>(host.data()),
                    stream()));
    must(gpu().synchronise(stream()));
    for (size_t i = 0; i < kHalves; ++i) {
      const float wanted = widened(dtype, halves[i]);
      if (std::isnan(wanted)) {
        ASSERT_TRUE(std::isnan(floats[i])) << i;
      } else {
        ASSERT_EQ(std::bit_cast<uint32_t>(floats[i]), std::bit_cast<uint32_t>(wanted)) << i;
      }
    }
  }
}

TEST_P(GpuFloats, FloatsAreRoundedToTheNearest) {
  std::mt19937 random(3);
  const HostBuffer host(gpu(), (kFloats * sizeof(float) + 4095) / 4096 * 4096);
  auto* floats = reinterpret_cast<float*>(host.data());
  for (size_t i = 0; i < kFloats; ++i) {
    floats[i] = std::bit_cast<float>(static_cast<uint32_t>(random()));
    if (i % 3 == 0)
      floats[i] = std::bit_cast<float>(0x3F808000U + static_cast<uint32_t>(i) * 4096U);
  }
  const Pieces pieces(gpu(), {Place::kDevice}, granules((kFloats + 1) * sizeof(uint16_t)));
  for (const DType dtype : {DType::kF16, DType::kBF16}) {
    fill(pieces.start(), 0xEE, pieces.bytes());
    must(ops::narrow(gpu(), floats, {dtype, pieces.start(), kFloats}, stream()));
    const auto bytes = read(pieces.start(), (kFloats + 1) * sizeof(uint16_t));
    const auto* halves = reinterpret_cast<const uint16_t*>(bytes.data());
    for (size_t i = 0; i < kFloats; ++i) {
      if (std::isnan(floats[i])) continue;
      ASSERT_EQ(halves[i], narrowed(dtype, floats[i])) << floats[i];
    }
    EXPECT_EQ(halves[kFloats], 0xEEEE);
  }
}

TEST_P(GpuFloats, FloatsStayWhatTheyAre) {
  const HostBuffer host(gpu(), 8192);
  auto* floats = reinterpret_cast<float*>(host.data());
  for (size_t i = 0; i < 1024; ++i) floats[i] = static_cast<float>(i) / 3;
  const Pieces pieces(gpu(), {Place::kDevice});
  must(ops::narrow(gpu(), floats, {DType::kF32, pieces.start(), 1024}, stream()));
  must(ops::widen(gpu(), {DType::kF32, pieces.start(), 1024}, floats + 1024, stream()));
  must(gpu().synchronise(stream()));
  EXPECT_EQ(std::memcmp(floats, floats + 1024, 4096), 0);
}

TEST_P(GpuFloats, OtherElementsAreRefused) {
  const Pieces pieces(gpu(), {Place::kDevice});
  float value = 0;
  expect_error(ops::widen(gpu(), {DType::kQ8_0, pieces.start(), 1}, &value, stream()),
               ErrorCode::kUsage);
}

INSTANTIATE_TEST_SUITE_P(Gpus, GpuFloats, testing::ValuesIn(gpu_kinds()), name_of_kind);

}  // namespace
}  // namespace spillway::platform

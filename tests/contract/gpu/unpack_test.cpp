// Packed weights come back in a stream as they were, wherever they lie and by every way.
#include "ops/unpack.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <random>
#include <vector>

#include "environment.h"
#include "ops/packed_layout.h"

namespace spillway::platform {
namespace {

using ops::kPackedBlock;

std::vector<uint16_t> some_weight(size_t elements) {
  std::mt19937 random(7);
  std::normal_distribution<float> values(0.0F, 0.02F);
  std::vector<uint16_t> weight(elements);
  for (size_t i = 0; i < elements; ++i) {
    const auto bits = std::bit_cast<uint32_t>(values(random));
    const bool noise = i / kPackedBlock % 5 == 3;  // a block whose escapes overflow
    weight[i] = static_cast<uint16_t>(noise ? random() : bits >> 16);
  }
  return weight;
}

class GpuUnpack : public GpuContract {
 protected:
  void SetUp() override {
    GpuContract::SetUp();
    if (IsSkipped()) return;
    const ops::PackedForm form = ops::find_packed_form(weight_);
    host_ = std::make_unique<HostBuffer>(gpu(), whole_pages(form.bytes()));
    ASSERT_TRUE(ops::pack(weight_, form, host_->bytes().first(form.bytes())));
    packed_ = {form, host_->data()};
    target_ = std::make_unique<Pieces>(gpu(), std::vector{Place::kDevice},
                                       granules(weight_.size() * sizeof(uint16_t) + 64));
  }
  void TearDown() override {
    target_.reset();
    host_.reset();
    GpuContract::TearDown();
  }

  static size_t whole_pages(size_t bytes) { return (bytes + 4095) / 4096 * 4096; }
  size_t granules(size_t bytes) { return (bytes + granularity() - 1) / granularity(); }
  ops::UnpackTarget target(size_t count) const {
    return {reinterpret_cast<uint16_t*>(target_->start()), count};
  }
  void clear() { fill(target_->start(), 0xEE, target_->bytes()); }
  // The first elements, and that nothing was written behind them.
  void expect_elements(size_t count) {
    const auto bytes = read(target_->start(), count * sizeof(uint16_t) + 64);
    ASSERT_EQ(std::memcmp(bytes.data(), weight_.data(), count * sizeof(uint16_t)), 0) << count;
    EXPECT_TRUE(std::all_of(bytes.end() - 64, bytes.end(), [](std::byte byte) {
      return byte == std::byte{0xEE};
    })) << count;
  }

  const std::vector<uint16_t> weight_ = some_weight(23 * kPackedBlock + 17);
  std::unique_ptr<HostBuffer> host_;
  std::unique_ptr<Pieces> target_;
  ops::PackedWeight packed_;
};

TEST_P(GpuUnpack, InPlace) {
  for (const unsigned blocks : {0u, 1u, 2u, 7u}) {
    for (const size_t count : {weight_.size(), weight_.size() / 2, size_t{5}}) {
      clear();
      must(ops::unpack(gpu(), packed_, target(count), stream(), blocks));
      expect_elements(count);
    }
  }
}

TEST_P(GpuUnpack, FromItsOwnMemory) {
  const Pieces there(gpu(), {Place::kDevice}, granules(packed_.form.bytes()));
  must(gpu().copy({there.start(), packed_.bytes, packed_.form.bytes()}, stream()));
  clear();
  must(ops::unpack(gpu(), {packed_.form, there.start()}, target(weight_.size()), stream()));
  expect_elements(weight_.size());
}

TEST_P(GpuUnpack, ByWayOfStaging) {
  const uint64_t block_bytes = packed_.form.block_bytes();
  const Pieces staging(gpu(), {Place::kDevice}, granules(61 * block_bytes));
  for (const size_t blocks_each : {1u, 4u, 30u}) {
    const auto unpacker = must(ops::StagedUnpacker::create(
        gpu(), {staging.start(), 2 * ((blocks_each * block_bytes + 31) / 32 * 32)}));
    for (const size_t count : {weight_.size(), weight_.size() / 2, weight_.size(), size_t{5}}) {
      clear();
      must(unpacker->unpack(packed_, target(count), stream(), 2));
      expect_elements(count);
    }
  }
}

TEST_P(GpuUnpack, OneAfterTheOtherWithoutWaiting) {
  const Pieces staging(gpu(), {Place::kDevice});
  const auto unpacker = must(ops::StagedUnpacker::create(
      gpu(), {staging.start(), 6 * packed_.form.block_bytes() / 32 * 32}));
  clear();
  for (int i = 0; i < 8; ++i) {
    must(unpacker->unpack(packed_, target(weight_.size()), stream()));
    if (i == 4) must(ops::unpack(gpu(), packed_, target(weight_.size()), stream(), 3));
  }
  expect_elements(weight_.size());
}

TEST_P(GpuUnpack, IsChecked) {
  const Pieces staging(gpu(), {Place::kDevice});
  const auto unpacker = must(ops::StagedUnpacker::create(gpu(), {staging.start(), 4096}));
  expect_error(unpacker->unpack(packed_, target(1), stream()), ErrorCode::kUsage);
  expect_error(ops::unpack(gpu(), packed_, target(weight_.size() + 1), stream()),
               ErrorCode::kUsage);
  expect_error(ops::unpack(gpu(), packed_, {target(1).elements + 1, 1}, stream()),
               ErrorCode::kUsage);
  expect_error(ops::unpack(gpu(), {packed_.form, packed_.bytes + 1}, target(1), stream()),
               ErrorCode::kUsage);
  EXPECT_FALSE(ops::StagedUnpacker::create(gpu(), {staging.start() + 1, 4096}));
  must(ops::unpack(gpu(), packed_, target(0), stream()));
}

INSTANTIATE_TEST_SUITE_P(Gpus, GpuUnpack, testing::ValuesIn(gpu_kinds()), name_of_kind);

}  // namespace
}  // namespace spillway::platform

// Every call of the driver that a staged unpacker makes fails in its turn, once and for good: the
// error arrives, nothing is left behind, and after a single failure the next weight is right.
#include <gtest/gtest.h>

#include <bit>
#include <deque>
#include <random>
#include <vector>

#include "ops/packed_layout.h"
#include "ops/unpack.h"
#include "platform/faulty_gpu.h"
#include "platform/simulated/simulated_gpu.h"

namespace spillway::ops {
namespace {

constexpr size_t kElements = 5 * kPackedBlock + 3;

class UnpackFaults : public testing::Test {
 protected:
  UnpackFaults() {
    std::mt19937 random(11);
    std::normal_distribution<float> values(0.0F, 0.02F);
    for (auto& value : weight_) {
      value = static_cast<uint16_t>(std::bit_cast<uint32_t>(values(random)) >> 16);
    }
    form_ = find_packed_form(weight_);
    bytes_.resize(form_.bytes() + 32);
    EXPECT_TRUE(pack(weight_, form_, {aligned(bytes_), form_.bytes()}));
  }

  static std::byte* aligned(std::vector<std::byte>& bytes) {
    const auto start = reinterpret_cast<uintptr_t>(bytes.data());
    return bytes.data() + (32 - start % 32) % 32;
  }

  // Makes an unpacker and uses it twice; counts the errors.
  size_t live(platform::Gpu& gpu, Stream stream) {
    size_t errors = 0;
    // One for each: where the destructor cannot wait, a copy to it is still on its way.
    std::vector<std::byte>& staging = stagings_.emplace_back(4 * form_.block_bytes() + 96);
    auto unpacker =
        StagedUnpacker::create(gpu, {aligned(staging), (staging.size() - 32) / 64 * 64});
    if (!unpacker) return 1;
    for (int i = 0; i < 2; ++i) {
      target_.assign(kElements + 8, 0xEEEE);
      const uintptr_t start = reinterpret_cast<uintptr_t>(target_.data()) % 16 / 2;
      uint16_t* const target = target_.data() + (8 - start) % 8;
      const PackedWeight from{form_, aligned(bytes_)};
      const auto unpacked = (*unpacker)->unpack(from, {target, kElements}, stream);
      const auto waited = inside_->synchronise(stream);
      EXPECT_TRUE(waited.has_value());
      if (unpacked) {
        EXPECT_TRUE(std::equal(weight_.begin(), weight_.end(), target));
      } else {
        EXPECT_EQ(unpacked.error().code, ErrorCode::kMachine);
        ++errors;
      }
    }
    return errors;
  }

  std::vector<uint16_t> weight_ = std::vector<uint16_t>(kElements);
  PackedForm form_;
  std::vector<std::byte> bytes_;
  std::deque<std::vector<std::byte>> stagings_;
  std::vector<uint16_t> target_;
  // The last: it ends before what it copies to.
  std::unique_ptr<platform::SimulatedGpu> inside_ =
      platform::make_simulated_gpu({.coherent = true});
};

TEST_F(UnpackFaults, EveryCall) {
  for (const bool for_good : {false, true}) {
    uint64_t n = 1;
    for (bool failed = true; failed; ++n) {
      platform::FaultyGpu gpu(*inside_, platform::GivingBack::kNeverFails);
      const Stream stream = inside_->create_stream().value();
      gpu.fail_call(n, for_good);
      const size_t errors = live(gpu, stream);
      failed = gpu.failures() > 0;
      if (!for_good) {
        // A failure of what the destructor waits for is nobody's.
        EXPECT_LE(errors, failed ? 1u : 0u) << "call " << n;
      }
      EXPECT_TRUE(inside_->destroy_stream(stream).has_value());
      EXPECT_EQ(inside_->streams(), 0u);
      EXPECT_EQ(inside_->events(), 0u);
    }
    EXPECT_GT(n, 20u);
  }
}

}  // namespace
}  // namespace spillway::ops

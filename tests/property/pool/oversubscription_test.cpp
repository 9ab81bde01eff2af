// The machine in mind, at its full size: 141 GB of weights and 43 GB of KV (Llama 3 70B in 16 bit,
// one conversation of 128k tokens) on a simulated GH200 with 96 GB of HBM. Tokens are decoded as an
// engine would: a resident set of weights is read while the others pass through HBM, and KV is
// brought in where there is room. Of each extent a sample of words is written and checked: the rest
// takes no memory here.
#include <gmock/gmock.h>

#include <random>

#include "base/units.h"
#include "ops/pattern_kernels.h"
#include "platform/simulated/simulated_gpu.h"
#include "spillway/memory/pool.h"

namespace spillway::memory {
namespace {

constexpr uint64_t kGigabyte = 1'000'000'000;
constexpr uint64_t kHbmBytes = 96 * kGigabyte;
constexpr uint64_t kHostBytes = 480 * kGigabyte;
// 64 GiB of weights stay; those that pass through and KV share the other 25.
constexpr size_t kResidentWeights = 64;
// Samples, and the memory beside them that it takes to keep and move them: never gigabytes.
constexpr uint64_t kMostWrittenBytes = 16 * kMiB;

// A region, and what should stand in the sample of each of its extents: words that tell the region,
// the place in it and how often they were written.
class Sampled {
 public:
  Sampled(Pool& pool, const RegionOptions& options, std::mt19937& random)
      : gpu_(pool.gpu()),
        region_(pool.create_region(options).value()),
        id_(static_cast<uint64_t>(options.tag)),
        versions_(region_->extents(), 0) {
    for (size_t i = 0; i < region_->extents(); ++i) {
      middles_.push_back(random() % (extent_bytes() / kAlignment - kWords) * kAlignment);
    }
  }

  Region& region() { return *region_; }
  size_t extents() const { return region_->extents(); }
  size_t extent_bytes() const { return region_->extent_bytes(); }

  Result<void> make_resident(size_t first, size_t count, Tier tier) {
    return region_->make_resident(first * extent_bytes(), count * extent_bytes(), tier);
  }
  Transfer move(size_t extent, Tier tier) {
    return region_->move(extent * extent_bytes(), extent_bytes(), tier).value();
  }
  Pin pin(size_t first, size_t count, Stream stream) {
    return region_->pin(first * extent_bytes(), count * extent_bytes(), stream).value();
  }
  // Of pinned extents.
  void write(size_t extent, Stream stream) {
    ++versions_[extent];
    for (const ops::PatternRange& range : sample(extent)) {
      EXPECT_TRUE(ops::fill_pattern(gpu_, range, stream));
    }
  }
  void check(size_t extent, uint64_t* wrong, Stream stream) {
    for (const ops::PatternRange& range : sample(extent)) {
      EXPECT_TRUE(ops::check_pattern(gpu_, range, wrong, stream));
    }
  }

  size_t in_hbm() const {
    size_t found = 0;
    for (const Residency& run : region_->residency()) {
      if (run.tier == Tier::kHbm) found += run.end - run.first;
    }
    return found;
  }

 private:
  static constexpr size_t kWords = 64;
  static constexpr size_t kAlignment = 16;  // of patterns

  // Its first and last words, and some in between.
  std::vector<ops::PatternRange> sample(size_t extent) const {
    std::vector<ops::PatternRange> ranges;
    for (const size_t place :
         {size_t{0}, middles_[extent], extent_bytes() - kWords * sizeof(uint64_t)}) {
      const size_t offset = extent * extent_bytes() + place;
      ranges.push_back({.words = reinterpret_cast<uint64_t*>(region_->data() + offset),
                        .count = kWords,
                        .seed = id_ << 32 | versions_[extent],
                        .first = offset / sizeof(uint64_t)});
    }
    return ranges;
  }

  platform::Gpu& gpu_;
  std::unique_ptr<Region> region_;
  uint64_t id_;
  std::vector<uint32_t> versions_;  // how often each extent was written
  std::vector<size_t> middles_;
};

class Oversubscription : public ::testing::Test {
 protected:
  ~Oversubscription() override { EXPECT_TRUE(gpu_->destroy_stream(stream_)); }

  void expect_budgets_kept() {
    EXPECT_LE(gpu_->device_bytes_in_use(), kHbmBytes);
    EXPECT_LE(gpu_->host_bytes_in_use(), kHostBytes);
    EXPECT_LE(gpu_->peak_device_bytes(), kHbmBytes);
    EXPECT_LE(pool_->budget(Tier::kHbm).usage().peak_bytes, kHbmBytes);
    EXPECT_LE(pool_->budget(Tier::kHost).usage().peak_bytes, kHostBytes);
    EXPECT_LE(gpu_->written_bytes(), kMostWrittenBytes);
  }

  // Fills HBM: all KV at first, of which the resident weights then drive out what they need.
  void load() {
    const size_t streamed = weights_.extents() - kResidentWeights;
    ASSERT_TRUE(kv_.make_resident(0, kv_.extents(), Tier::kHbm));
    for_each_extent(kv_, [&](size_t i) { kv_.write(i, stream_); });
    ASSERT_TRUE(weights_.make_resident(0, kResidentWeights, Tier::kHbm));
    ASSERT_TRUE(weights_.make_resident(kResidentWeights, streamed, Tier::kHost));
    for_each_extent(weights_, [&](size_t i) { weights_.write(i, stream_); });
    EXPECT_GT(gpu_->device_bytes_in_use(), kHbmBytes - kGiB);
    EXPECT_GT(pool_->statistics().evicted_extents, 0U);
    expect_budgets_kept();
  }

  // Each weight is read once: the resident ones a few at a time, while the next of the others comes
  // in and the last one goes.
  void decode_one_token() {
    const Pin residents = weights_.pin(0, kResidentWeights, stream_);
    Transfer arriving = weights_.move(kResidentWeights, Tier::kHbm);
    for (size_t streamed = kResidentWeights; streamed < weights_.extents(); ++streamed) {
      weights_.check(streamed % kResidentWeights, &wrong_, stream_);
      use_kv(random_() % kv_.extents());
      const auto arrived = arriving.wait();
      ASSERT_TRUE(arrived) << arrived.error().message;
      if (streamed + 1 < weights_.extents()) arriving = weights_.move(streamed + 1, Tier::kHbm);
      {
        const Pin pin = weights_.pin(streamed, 1, stream_);
        weights_.check(streamed, &wrong_, stream_);
      }
      weights_.move(streamed, Tier::kHost);
      expect_budgets_kept();
    }
  }

  // Wherever it lies it is read; now and then it is written, too.
  void use_kv(size_t extent) {
    const auto brought = kv_.make_resident(extent, 1, Tier::kHbm);
    ASSERT_TRUE(brought) << brought.error().message;
    const Pin pin = kv_.pin(extent, 1, stream_);
    kv_.check(extent, &wrong_, stream_);
    if (random_() % 4 == 0) kv_.write(extent, stream_);
  }

  // All extents, each where it lies.
  void verify() {
    for (Sampled* sampled : {&weights_, &kv_}) {
      for_each_extent(*sampled, [&](size_t i) { sampled->check(i, &wrong_, stream_); });
    }
    ASSERT_TRUE(gpu_->synchronise(stream_));
    ASSERT_EQ(wrong_, 0U);
    expect_budgets_kept();
  }

  template <typename Function>
  void for_each_extent(Sampled& sampled, Function function) {
    const Pin pin = sampled.pin(0, sampled.extents(), stream_);
    for (size_t i = 0; i < sampled.extents(); ++i) function(i);
  }

  const unsigned seed_ = std::random_device()();
  std::mt19937 random_{seed_};
  uint64_t wrong_ = 0;  // the GPU counts here
  std::unique_ptr<platform::SimulatedGpu> gpu_ =
      platform::make_simulated_gpu(platform::described_gh200());
  const Stream stream_ = gpu_->create_stream().value();
  // Handles of both sizes are used again, with what their last extent wrote there.
  std::unique_ptr<Pool> pool_ = Pool::create(*gpu_, {.hbm_budget_bytes = kHbmBytes,
                                                     .host_budget_bytes = kHostBytes,
                                                     .kept_bytes = 3 * kGiB})
                                    .value();
  Sampled weights_{*pool_,
                   {.size_bytes = 141 * kGigabyte,
                    .extent_bytes = kGiB,
                    .tag = Tag::kWeights,
                    .name = "weights",
                    .eviction = Eviction::kNever},
                   random_};
  Sampled kv_{*pool_,
              {.size_bytes = 43 * kGigabyte,
               .extent_bytes = 256 * kMiB,
               .tag = Tag::kKv,
               .name = "KV",
               .eviction = Eviction::kLeastRecentlyPinned},
              random_};
};

TEST_F(Oversubscription, WeightsAndKvTwiceAsLargeAsHbmAreReadRight) {
  SCOPED_TRACE(testing::Message() << "seed " << seed_);
  ASSERT_NO_FATAL_FAILURE(load());
  ASSERT_NO_FATAL_FAILURE(verify());
  for (int token = 0; token < 3; ++token) {
    ASSERT_NO_FATAL_FAILURE(decode_one_token());
    ASSERT_NO_FATAL_FAILURE(verify());
  }
  const PoolStatistics statistics = pool_->statistics();
  EXPECT_GE(statistics.bytes_to_hbm, 3 * (weights_.extents() - kResidentWeights) * kGiB);
  EXPECT_GT(statistics.handles_reused, 0U);
  // The resident set is all that is left of the weights in HBM.
  EXPECT_EQ(weights_.in_hbm(), kResidentWeights);
  EXPECT_GT(kv_.in_hbm(), 0U);
  EXPECT_LT(kv_.in_hbm(), kv_.extents());
}

TEST_F(Oversubscription, MoreThanTheBudgetIsRefusedAndNoByteIsLost) {
  SCOPED_TRACE(testing::Message() << "seed " << seed_);
  ASSERT_NO_FATAL_FAILURE(load());
  const auto refused = weights_.make_resident(0, weights_.extents(), Tier::kHbm);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kBudget);
  EXPECT_THAT(refused.error().message, testing::HasSubstr("weights"));
  EXPECT_EQ(kv_.in_hbm(), 0U);
  ASSERT_NO_FATAL_FAILURE(verify());
  // 184 GB fit into host memory.
  ASSERT_TRUE(weights_.make_resident(0, weights_.extents(), Tier::kHost));
  ASSERT_TRUE(kv_.make_resident(0, kv_.extents(), Tier::kHost));
  ASSERT_NO_FATAL_FAILURE(verify());
  pool_->trim();
  EXPECT_EQ(gpu_->device_bytes_in_use(), 0U);
}

}  // namespace
}  // namespace spillway::memory

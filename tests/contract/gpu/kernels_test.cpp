#include "environment.h"
#include "ops/pattern_kernels.h"
#include "ops/pattern_word.h"

namespace spillway::platform {
namespace {

using GpuKernels = GpuContract;

TEST_P(GpuKernels, WriteThePattern) {
  constexpr size_t kCount = 1001;
  const Pieces pieces(gpu(), {Place::kDevice});
  fill(pieces.start(), 0, pieces.bytes());
  must(ops::fill_pattern(gpu(), {words_at(pieces.start()), kCount, 3, 17}, stream()));
  const auto bytes = read(pieces.start(), (kCount + 1) * sizeof(uint64_t));
  const auto* words = reinterpret_cast<const uint64_t*>(bytes.data());
  for (size_t i = 0; i < kCount; ++i) ASSERT_EQ(words[i], ops::pattern_word(3, 17 + i)) << i;
  EXPECT_EQ(words[kCount], 0u);
}

TEST_P(GpuKernels, CountMismatches) {
  const Pieces pieces(gpu(), places());
  must(ops::fill_pattern(gpu(), {words_at(pieces.start()), pieces.bytes() / 8, 5}, stream()));
  EXPECT_EQ(pattern_mismatches(pieces.start(), pieces.bytes(), 5), 0u);
  EXPECT_EQ(pattern_mismatches(pieces.start(), pieces.bytes(), 6), pieces.bytes() / 8);
  fill(pieces.start() + 800, 0, 80);
  EXPECT_EQ(pattern_mismatches(pieces.start(), pieces.bytes(), 5), 10u);
}

TEST_P(GpuKernels, CountInEitherPlace) {
  for (const Place place : places()) {
    const Pieces pieces(gpu(), {Place::kDevice, place});
    auto* counter = words_at(pieces.at(1));
    fill(pieces.at(0), 0, pieces.piece_bytes());
    fill(pieces.at(1), 0, sizeof(uint64_t));
    for (int i = 0; i < 3; ++i) {
      must(ops::check_pattern(gpu(), {words_at(pieces.at(0)), 100, 1}, counter, stream()));
    }
    const auto bytes = read(pieces.at(1), sizeof(uint64_t));
    EXPECT_EQ(*reinterpret_cast<const uint64_t*>(bytes.data()), 300u);
  }
}

TEST_P(GpuKernels, SumWords) {
  const Pieces pieces(gpu(), places());
  const HostBuffer sum(gpu(), sizeof(uint64_t));
  must(ops::fill_pattern(gpu(), {words_at(pieces.start()), pieces.bytes() / 8, 9}, stream()));
  for (const size_t count : {size_t{0}, size_t{1}, size_t{7}, size_t{5001}, pieces.bytes() / 8}) {
    for (const unsigned blocks : {0u, 1u, 3u}) {
      uint64_t expected = 0;
      for (size_t i = 0; i < count; ++i) expected += ops::pattern_word(9, i);
      *words_at(sum.data()) = 1;
      must(ops::sum_words(gpu(), {words_at(pieces.start()), count}, words_at(sum.data()), stream(),
                          blocks));
      must(gpu().synchronise(stream()));
      EXPECT_EQ(*words_at(sum.data()), expected + 1) << count << " words, " << blocks << " blocks";
    }
  }
}

TEST_P(GpuKernels, RunInTheOrderOfTheStream) {
  const Pieces pieces(gpu(), {places().back()});
  const size_t count = pieces.bytes() / 16;
  std::byte* half = pieces.start() + pieces.bytes() / 2;
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    must(ops::fill_pattern(gpu(), {words_at(pieces.start()), count, seed}, stream()));
    must(gpu().copy(CopyRequest{half, pieces.start(), count * 8}, stream()));
    must(gpu().fill(pieces.start(), std::byte{0}, count * 8, stream()));
    EXPECT_EQ(pattern_mismatches(half, count * 8, seed), 0u);
  }
}

TEST_P(GpuKernels, WantAlignedWords) {
  const Pieces pieces(gpu(), {Place::kDevice});
  const ops::PatternRange askew{words_at(pieces.start() + 8), 4, 1};
  expect_error(ops::fill_pattern(gpu(), askew, stream()), ErrorCode::kUsage);
}

INSTANTIATE_TEST_SUITE_P(Gpus, GpuKernels, testing::ValuesIn(gpu_kinds()), name_of_kind);

}  // namespace
}  // namespace spillway::platform

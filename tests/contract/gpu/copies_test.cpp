#include <random>

#include "environment.h"
#include "support/pattern.h"

namespace spillway::platform {
namespace {

using GpuCopies = GpuContract;

TEST_P(GpuCopies, GoInAllDirections) {
  constexpr size_t kBytes = 50021;
  std::vector<Place> each = places();
  each.insert(each.end(), each.begin(), each.end());
  const Pieces pieces(gpu(), each);
  const HostBuffer registered(gpu(), 2 * pieces.piece_bytes());
  std::vector<std::byte*> ends{registered.data() + 5, registered.data() + pieces.piece_bytes() + 3};
  for (size_t i = 0; i < each.size(); ++i) ends.push_back(pieces.at(i) + i);
  unsigned seed = 0;
  for (std::byte* from : ends) {
    for (std::byte* to : ends) {
      if (from == to) continue;
      const auto content = test::patterned_bytes(kBytes, ++seed);
      write(from, content);
      must(gpu().copy(CopyRequest{to, from, kBytes}, stream()));
      EXPECT_EQ(read(to, kBytes), content) << seed;
    }
  }
}

TEST_P(GpuCopies, CopyNothing) {
  const Pieces pieces(gpu(), {Place::kDevice});
  fill(pieces.start(), 4, 100);
  must(gpu().copy(CopyRequest{pieces.start(), pieces.start() + 100, 0}, stream()));
  must(gpu().copy(std::span<const CopyRequest>{}, stream()));
  must(gpu().fill(pieces.start(), std::byte{1}, 0, stream()));
  EXPECT_TRUE(all_equal(pieces.start(), 4, 100));
}

TEST_P(GpuCopies, ComeInBatches) {
  const auto seed = std::random_device()();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const Pieces pieces(gpu(), {places().back(), Place::kDevice});
  const size_t bytes = pieces.piece_bytes();
  for (const size_t count : {size_t{1}, size_t{2}, size_t{100}}) {
    const auto content = test::patterned_bytes(bytes, static_cast<unsigned>(random()));
    write(pieces.at(0), content);
    fill(pieces.at(1), 0, bytes);
    std::vector<std::byte> expected(bytes);
    std::vector<CopyRequest> requests;
    for (size_t i = 0; i < count; ++i) {
      // Each within its own stretch of the target, so that they do not overlap; some of no bytes.
      const size_t stretch = bytes / count;
      const size_t size = random() % stretch;
      const size_t from = random() % (bytes - size);
      requests.push_back({pieces.at(1) + i * stretch, pieces.at(0) + from, size});
      std::copy_n(content.begin() + std::ptrdiff_t(from), size,
                  expected.begin() + std::ptrdiff_t(i * stretch));
    }
    must(gpu().copy(requests, stream()));
    requests.assign(requests.size(), CopyRequest{});  // nobody reads them after the call
    EXPECT_EQ(read(pieces.at(1), bytes), expected);
  }
}

TEST_P(GpuCopies, BatchesKeepTheOrderOfTheStream) {
  const Pieces pieces(gpu(), {Place::kDevice});
  std::byte* at = pieces.start();
  const std::array<CopyRequest, 2> requests{{{at + 1000, at, 100}, {at + 2000, at + 500, 100}}};
  must(gpu().fill(at, std::byte{5}, 1000, stream()));
  must(gpu().copy(requests, stream()));
  must(gpu().fill(at, std::byte{6}, 1000, stream()));
  EXPECT_TRUE(all_equal(at + 1000, 5, 100));
  EXPECT_TRUE(all_equal(at + 2000, 5, 100));
  EXPECT_TRUE(all_equal(at, 6, 1000));
}

TEST_P(GpuCopies, TheNullStreamTakesAllKinds) {
  const Pieces pieces(gpu(), {Place::kDevice});
  std::byte* at = pieces.start();
  const Stream null;
  must(gpu().fill(at, std::byte{3}, 3000, null));
  must(gpu().copy(CopyRequest{at + 4000, at, 1000}, null));
  const std::array<CopyRequest, 2> requests{
      {{at + 6000, at + 4000, 500}, {at + 7000, at + 4500, 500}}};
  must(gpu().copy(requests, null));
  must(gpu().synchronise(null));
  EXPECT_TRUE(all_equal(at + 6000, 3, 500));
  EXPECT_TRUE(all_equal(at + 7000, 3, 500));
}

TEST_P(GpuCopies, FillAnyBytes) {
  const Pieces pieces(gpu(), places());
  fill(pieces.start(), 0, pieces.bytes());
  std::byte* at = pieces.start() + 3;
  fill(at, 0xAB, 1001);
  EXPECT_TRUE(all_equal(at, 0xAB, 1001));
  EXPECT_TRUE(all_equal(pieces.start(), 0, 3));
  EXPECT_TRUE(all_equal(at + 1001, 0, 1000));
}

TEST_P(GpuCopies, HostMemoryIsRegisteredInWholePagesAndOnce) {
  const HostBuffer buffer(gpu(), 8 * 4096);
  expect_error(gpu().register_host(buffer.bytes()), ErrorCode::kUsage);
  expect_error(gpu().register_host(buffer.bytes().first(100)), ErrorCode::kUsage);
  expect_error(gpu().register_host(buffer.bytes().subspan(100, 4096)), ErrorCode::kUsage);
  expect_error(gpu().register_host({}), ErrorCode::kUsage);
  std::array<std::byte, 64> stack{};
  expect_error(gpu().unregister_host(stack.data()), ErrorCode::kUsage);
}

INSTANTIATE_TEST_SUITE_P(Gpus, GpuCopies, testing::ValuesIn(gpu_kinds()), name_of_kind);

}  // namespace
}  // namespace spillway::platform

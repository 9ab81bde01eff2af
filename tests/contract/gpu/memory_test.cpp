#include "environment.h"
#include "ops/pattern_kernels.h"
#include "support/pattern.h"

namespace spillway::platform {
namespace {

using GpuMemoryCalls = GpuContract;

TEST_P(GpuMemoryCalls, SaysWhatItIs) {
  const GpuInfo& info = gpu().info();
  EXPECT_FALSE(info.name.empty());
  EXPECT_GE(info.compute_major, 7u);
  EXPECT_GE(info.multiprocessors, 1u);
  EXPECT_EQ(info.granularity % 4096, 0u);
  EXPECT_EQ(info.granularity & (info.granularity - 1), 0u);
  const GpuMemory memory = must(gpu().memory());
  EXPECT_EQ(memory.total_bytes, info.total_bytes);
  EXPECT_LE(memory.free_bytes, memory.total_bytes - info.context_bytes / 2);
}

TEST_P(GpuMemoryCalls, CountsDriverCalls) {
  const uint64_t before = gpu().driver_calls();
  must(gpu().release(must(gpu().create(granularity(), Place::kDevice))));
  EXPECT_EQ(gpu().driver_calls(), before + 2);
}

TEST_P(GpuMemoryCalls, SizesAreMultiplesOfTheGranularity) {
  for (const size_t bytes : {size_t{0}, size_t{1}, granularity() - 1, granularity() + 4096}) {
    expect_error(gpu().create(bytes, Place::kDevice), ErrorCode::kUsage);
    expect_error(gpu().reserve(bytes, 0), ErrorCode::kUsage);
  }
}

TEST_P(GpuMemoryCalls, ReservationsAreAlignedAsAsked) {
  for (const size_t alignment : {size_t{0}, size_t{1}, granularity(), 32 * granularity()}) {
    std::byte* start = must(gpu().reserve(3 * granularity(), alignment));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(start) % std::max(alignment, granularity()), 0u);
    must(gpu().free_addresses(start, 3 * granularity()));
  }
  expect_error(gpu().reserve(granularity(), 3 * granularity()), ErrorCode::kUsage);
}

TEST_P(GpuMemoryCalls, ReservesMoreThanItHas) {
  const size_t bytes = 4 * gpu().info().total_bytes / granularity() * granularity();
  must(gpu().free_addresses(must(gpu().reserve(bytes, 0)), bytes));
}

TEST_P(GpuMemoryCalls, RefusesMoreAddressesThanThereAre) {
  expect_error(gpu().reserve(size_t{1} << 62, 0), ErrorCode::kMachine);
}

TEST_P(GpuMemoryCalls, RefusesMoreMemoryThanItHas) {
  const size_t bytes = 2 * gpu().info().total_bytes / granularity() * granularity();
  expect_error(gpu().create(bytes, Place::kDevice), ErrorCode::kMachine);
}

TEST_P(GpuMemoryCalls, RefusesHostHandlesWhereItSaysSo) {
  if (gpu().info().host_handles) GTEST_SKIP() << "it has them";
  expect_error(gpu().create(granularity(), Place::kHost), ErrorCode::kUsage);
}

TEST_P(GpuMemoryCalls, MemoryGoesBackOnceItIsMappedNowhere) {
  const size_t bytes = 8 * granularity();
  const uint64_t before = must(gpu().memory()).free_bytes;
  std::byte* at = must(gpu().reserve(bytes, 0));
  const HandleId handle = must(gpu().create(bytes, Place::kDevice));
  must(gpu().map(at, bytes, handle));
  must(gpu().allow_access(at, bytes, Place::kDevice));
  must(gpu().release(handle));
  EXPECT_LE(must(gpu().memory()).free_bytes, before - bytes);
  fill(at, 7, bytes);
  EXPECT_TRUE(all_equal(at, 7, bytes));
  must(gpu().unmap(at, bytes));
  // Not equal: a real driver may have taken a little for itself in between.
  EXPECT_GT(must(gpu().memory()).free_bytes, before - bytes);
  must(gpu().free_addresses(at, bytes));
}

TEST_P(GpuMemoryCalls, BothPlacesLieInOneReservation) {
  std::vector<Place> alternating;
  for (int i = 0; i < 3; ++i) {
    for (const Place place : places()) alternating.push_back(place);
  }
  const Pieces pieces(gpu(), alternating);
  const size_t count = pieces.bytes() / sizeof(uint64_t);
  must(ops::fill_pattern(gpu(), {words_at(pieces.start()), count, 42}, stream()));
  EXPECT_EQ(pattern_mismatches(pieces.start(), pieces.bytes(), 42), 0u);
  fill(pieces.at(1) - 4, 0x5A, 8);  // the end of one piece and the start of the next
  EXPECT_EQ(pattern_mismatches(pieces.start(), pieces.bytes(), 42), 2u);
}

TEST_P(GpuMemoryCalls, OneAccessCallCoversHandlesOfAPlace) {
  for (const Place place : places()) {
    const size_t bytes = granularity();
    std::byte* start = must(gpu().reserve(3 * bytes, 0));
    for (size_t i = 0; i < 3; ++i) {
      const HandleId handle = must(gpu().create(bytes, place));
      must(gpu().map(start + i * bytes, bytes, handle));
      must(gpu().release(handle));
    }
    must(gpu().allow_access(start, 3 * bytes, place));
    fill(start, 3, 3 * bytes);
    EXPECT_TRUE(all_equal(start, 3, 3 * bytes));
    must(gpu().unmap(start, 3 * bytes));
    must(gpu().free_addresses(start, 3 * bytes));
  }
}

TEST_P(GpuMemoryCalls, AHandleMappedTwiceIsTheSameMemory) {
  for (const Place place : places()) {
    const Pieces pieces(gpu(), {place}, 2);
    const size_t bytes = pieces.bytes();
    std::byte* alias = must(gpu().reserve(bytes, 0));
    must(gpu().map(alias, bytes, pieces.handle(0)));
    must(gpu().allow_access(alias, bytes, place));
    write(pieces.start(), test::patterned_bytes(bytes));
    EXPECT_EQ(read(alias, bytes), test::patterned_bytes(bytes));
    fill(alias + 100, 9, 1000);
    EXPECT_TRUE(all_equal(pieces.start() + 100, 9, 1000));
    must(gpu().unmap(alias, bytes));
    must(gpu().free_addresses(alias, bytes));
  }
}

TEST_P(GpuMemoryCalls, AHandleKeepsItsBytesWhileItIsMappedNowhere) {
  for (const Place place : places()) {
    const size_t bytes = granularity();
    std::byte* start = must(gpu().reserve(2 * bytes, 0));
    const HandleId handle = must(gpu().create(bytes, place));
    must(gpu().map(start, bytes, handle));
    must(gpu().allow_access(start, bytes, place));
    write(start, test::patterned_bytes(bytes));
    must(gpu().unmap(start, bytes));
    must(gpu().map(start + bytes, bytes, handle));
    must(gpu().allow_access(start + bytes, bytes, place));
    EXPECT_EQ(read(start + bytes, bytes), test::patterned_bytes(bytes));
    must(gpu().unmap(start + bytes, bytes));
    must(gpu().release(handle));
    must(gpu().free_addresses(start, 2 * bytes));
  }
}

TEST_P(GpuMemoryCalls, TheCpuReadsAndWritesHostHandles) {
  if (!gpu().info().host_handles) GTEST_SKIP() << "no host handles";
  const Pieces pieces(gpu(), {Place::kHost, Place::kDevice});
  const size_t bytes = pieces.piece_bytes();
  const auto content = test::patterned_bytes(bytes);
  std::copy(content.begin(), content.end(), pieces.at(0));
  must(gpu().copy(CopyRequest{pieces.at(1), pieces.at(0), bytes}, stream()));
  must(gpu().fill(pieces.at(0), std::byte{1}, bytes, stream()));
  must(gpu().copy(CopyRequest{pieces.at(0), pieces.at(1), bytes / 2}, stream()));
  must(gpu().synchronise(stream()));
  EXPECT_TRUE(
      std::equal(content.begin(), content.begin() + std::ptrdiff_t(bytes / 2), pieces.at(0)));
  EXPECT_EQ(pieces.at(0)[bytes / 2], std::byte{1});
}

// What the memory core does when it moves an extent: other memory under the same address.
TEST_P(GpuMemoryCalls, MemoryMovesBetweenPlacesUnderItsAddress) {
  if (!gpu().info().host_handles) GTEST_SKIP() << "no host handles";
  const size_t bytes = 2 * granularity();
  std::byte* home = must(gpu().reserve(bytes, 0));
  std::byte* scratch = must(gpu().reserve(bytes, 0));
  HandleId held = must(gpu().create(bytes, Place::kDevice));
  must(gpu().map(home, bytes, held));
  must(gpu().allow_access(home, bytes, Place::kDevice));
  must(ops::fill_pattern(gpu(), {words_at(home), bytes / 8, 7}, stream()));
  for (const Place place : {Place::kHost, Place::kDevice, Place::kHost}) {
    const HandleId next = must(gpu().create(bytes, place));
    must(gpu().map(scratch, bytes, next));
    must(gpu().allow_access(scratch, bytes, place));
    must(gpu().copy(CopyRequest{scratch, home, bytes}, stream()));
    must(gpu().synchronise(stream()));
    must(gpu().unmap(scratch, bytes));
    must(gpu().unmap(home, bytes));
    must(gpu().release(std::exchange(held, next)));
    must(gpu().map(home, bytes, held));
    must(gpu().allow_access(home, bytes, place));
    EXPECT_EQ(pattern_mismatches(home, bytes, 7), 0u);
  }
  must(gpu().unmap(home, bytes));
  must(gpu().release(held));
  must(gpu().free_addresses(home, bytes));
  must(gpu().free_addresses(scratch, bytes));
}

TEST_P(GpuMemoryCalls, RefusesMappingsThatDoNotFit) {
  const Pieces pieces(gpu(), {Place::kDevice, Place::kDevice}, 2);
  const size_t bytes = pieces.piece_bytes();
  const HandleId handle = must(gpu().create(bytes, Place::kDevice));
  const auto refused = [](const char* what, const Result<void>& result) {
    SCOPED_TRACE(what);
    expect_error(result, ErrorCode::kUsage);
  };
  refused("over another", gpu().map(pieces.at(1), bytes, handle));
  refused("unmap a half", gpu().unmap(pieces.at(0), bytes / 2));
  refused("unmap one and a half", gpu().unmap(pieces.at(0), bytes + bytes / 2));
  must(gpu().release(handle));
  std::byte* empty = must(gpu().reserve(bytes, 0));
  refused("access to nothing", gpu().allow_access(empty, bytes, Place::kDevice));
  must(gpu().free_addresses(empty, bytes));
  fill(pieces.start(), 1, pieces.bytes());  // all of it is still there
  EXPECT_TRUE(all_equal(pieces.start(), 1, pieces.bytes()));
}

INSTANTIATE_TEST_SUITE_P(Gpus, GpuMemoryCalls, testing::ValuesIn(gpu_kinds()), name_of_kind);

}  // namespace
}  // namespace spillway::platform

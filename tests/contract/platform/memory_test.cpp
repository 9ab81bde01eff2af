#include <gmock/gmock.h>

#include <algorithm>

#include "environment.h"

namespace spillway::platform {
namespace {

using PlatformMemory = PlatformContract;

bool all_zero(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

void fill(std::span<std::byte> bytes, std::byte value) {
  std::fill(bytes.begin(), bytes.end(), value);
}

std::unique_ptr<AddressRange> reserve(Platform& platform, size_t bytes) {
  auto range = platform.reserve(bytes);
  EXPECT_TRUE(range.has_value()) << range.error().message;
  return std::move(range).value();
}

TEST_P(PlatformMemory, ReservesWholePages) {
  const size_t page = platform().page_bytes();
  for (size_t bytes : {size_t{1}, page - 1, page, page + 1, 10 * page}) {
    const auto range = reserve(platform(), bytes);
    EXPECT_EQ(range->bytes().size(), (bytes + page - 1) / page * page);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(range->bytes().data()) % page, 0u);
  }
}

TEST_P(PlatformMemory, AnEmptyRangeIsEmpty) {
  const auto range = reserve(platform(), 0);
  EXPECT_TRUE(range->bytes().empty());
  EXPECT_TRUE(range->commit(0, 0).has_value());
  EXPECT_TRUE(range->decommit(0, 0).has_value());
}

TEST_P(PlatformMemory, ReservesFarMoreThanTheMachineHas) {
  const size_t bytes = 4 * platform().host_memory().value().total_bytes;
  EXPECT_GE(reserve(platform(), bytes)->bytes().size(), bytes);
}

TEST_P(PlatformMemory, RefusesMoreAddressesThanThereAre) {
  for (size_t bytes : {size_t{1} << 62, ~size_t{0}, ~size_t{0} - platform().page_bytes()}) {
    const auto range = platform().reserve(bytes);
    ASSERT_FALSE(range.has_value());
    EXPECT_EQ(range.error().code, ErrorCode::kMachine);
    EXPECT_THAT(range.error().message, testing::HasSubstr("addresses"));
  }
}

TEST_P(PlatformMemory, CommittedPagesReadAsZeroAndKeepWhatIsWritten) {
  const size_t page = platform().page_bytes();
  const auto range = reserve(platform(), 8 * page);
  ASSERT_TRUE(range->commit(page, 3 * page).has_value());
  const auto bytes = range->bytes().subspan(page, 3 * page);
  EXPECT_TRUE(all_zero(bytes));
  fill(bytes, std::byte{7});
  ASSERT_TRUE(range->commit(0, 8 * page).has_value());  // over what is committed
  EXPECT_EQ(std::count(bytes.begin(), bytes.end(), std::byte{7}), std::ptrdiff_t(3 * page));
  EXPECT_TRUE(all_zero(range->bytes().first(page)));
  EXPECT_TRUE(all_zero(range->bytes().subspan(4 * page)));
}

TEST_P(PlatformMemory, DecommittedPagesComeBackAsZero) {
  const size_t page = platform().page_bytes();
  const auto range = reserve(platform(), 4 * page);
  ASSERT_TRUE(range->commit(0, 4 * page).has_value());
  fill(range->bytes(), std::byte{9});
  ASSERT_TRUE(range->decommit(page, 2 * page).has_value());
  EXPECT_EQ(range->bytes()[page - 1], std::byte{9});
  EXPECT_EQ(range->bytes()[3 * page], std::byte{9});
  ASSERT_TRUE(range->decommit(0, 4 * page).has_value());  // over what is not committed
  ASSERT_TRUE(range->commit(0, 4 * page).has_value());
  EXPECT_TRUE(all_zero(range->bytes()));
}

TEST_P(PlatformMemory, TouchingAPageThatIsNotCommittedIsABug) {
  const size_t page = platform().page_bytes();
  const auto range = reserve(platform(), 2 * page);
  ASSERT_TRUE(range->commit(0, 2 * page).has_value());
  ASSERT_TRUE(range->decommit(page, page).has_value());
  volatile std::byte* gone = range->bytes().data() + page;
  EXPECT_DEATH(*gone = std::byte{1}, "");
}

TEST_P(PlatformMemory, HalfPagesAndOtherPeoplesPagesAreBugs) {
  const size_t page = platform().page_bytes();
  const auto range = reserve(platform(), 2 * page);
  EXPECT_DEATH(static_cast<void>(range->commit(1, page)), "bug in spillway");
  EXPECT_DEATH(static_cast<void>(range->commit(page, 2 * page)), "bug in spillway");
  EXPECT_DEATH(static_cast<void>(range->decommit(0, page / 2)), "bug in spillway");
  EXPECT_DEATH(static_cast<void>(range->decommit(3 * page, page)), "bug in spillway");
}

TEST_P(PlatformMemory, HostMemoryAddsUp) {
  const auto memory = platform().host_memory();
  ASSERT_TRUE(memory.has_value()) << memory.error().message;
  EXPECT_GT(memory->total_bytes, 0u);
  EXPECT_GT(memory->available_bytes, 0u);
  EXPECT_LE(memory->available_bytes, memory->total_bytes);
  EXPECT_LE(memory->free_bytes(), memory->available_bytes);
}

TEST_P(PlatformMemory, ResidentBytesFollowWhatIsWritten) {
  constexpr size_t kBytes = size_t{64} << 20;
  const auto range = reserve(platform(), kBytes);
  const auto resident = [&] { return platform().host_memory().value().process_resident_bytes; };
  const uint64_t before = resident();
  ASSERT_TRUE(range->commit(0, kBytes).has_value());
  fill(range->bytes(), std::byte{1});
  const uint64_t with = resident();
  ASSERT_TRUE(range->decommit(0, kBytes).has_value());
  const uint64_t after = resident();
  constexpr uint64_t kSlack = size_t{8} << 20;  // other memory of the process comes and goes
  EXPECT_GE(with + kSlack, before + kBytes);
  EXPECT_GE(with, after + kBytes - kSlack);
  EXPECT_GE(platform().host_memory().value().process_peak_resident_bytes + kSlack, with);
}

INSTANTIATE_TEST_SUITE_P(Platforms, PlatformMemory, testing::ValuesIn([] {
                           // Memory knows no open options: one kind per platform.
                           auto kinds = environment_kinds();
                           return std::vector{kinds.front(), kinds.back()};
                         }()),
                         [](const auto& kind) { return kind.param.name; });

}  // namespace
}  // namespace spillway::platform

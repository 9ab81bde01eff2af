#include <filesystem>
#include <iterator>
#include <thread>
#include <vector>

#include "c_api.h"

namespace spillway::c_api {
namespace {

using ::testing::HasSubstr;

spillway_pool_options simulated_options() {
  spillway_pool_options options = {};
  options.size = sizeof options;
  options.simulated_bytes = 1 << 20;
  return options;
}

auto entries(const char* folder) {
  return std::distance(std::filesystem::directory_iterator(folder), {});
}

TEST(CInterface, HasAVersion) {
  EXPECT_EQ(spillway_abi_version(), SPILLWAY_ABI_VERSION);
}

TEST(CInterface, EachThreadHasItsOwnError) {
  spillway_pool_close(nullptr);
  EXPECT_THAT(spillway_last_error(), HasSubstr("pool"));
  std::thread([] { EXPECT_STREQ(spillway_last_error(), ""); }).join();
}

TEST(CInterface, TheErrorOutlivesCallsThatSucceed) {
  spillway_pool_close(nullptr);
  const std::string before = spillway_last_error();
  const auto options = simulated_options();
  spillway_pool* pool = nullptr;
  SPILLWAY_C_OK(spillway_pool_open(&options, &pool));
  SPILLWAY_C_OK(spillway_pool_close(pool));
  EXPECT_EQ(spillway_last_error(), before);
}

TEST(COpen, RefusesWhatMakesNoSense) {
  spillway_pool* pool = nullptr;
  auto options = simulated_options();
  expect_null(spillway_pool_open(nullptr, &pool), "options");
  expect_null(spillway_pool_open(&options, nullptr), "pool");
  options.size = 0;
  expect_failure(spillway_pool_open(&options, &pool), SPILLWAY_USAGE, "options->size is 0");
  options.size = sizeof options - 1;
  expect_failure(spillway_pool_open(&options, &pool), SPILLWAY_USAGE, "sizeof");
  options = simulated_options();
  options.simulated_bytes = 0;
  options.device = 1000;
  EXPECT_NE(spillway_pool_open(&options, &pool), SPILLWAY_OK) << "no machine has that many GPUs";
  EXPECT_STRNE(spillway_last_error(), "");
  EXPECT_EQ(pool, nullptr) << "nothing is written on failure";
}

// A program that was built with a later header: fields that we do not know.
struct LaterOptions {
  spillway_pool_options known;
  uint64_t added;
};

TEST(COpen, TakesLaterStructuresWhoseNewFieldsAreZero) {
  LaterOptions options = {.known = simulated_options(), .added = 0};
  options.known.size = sizeof options;
  spillway_pool* pool = nullptr;
  SPILLWAY_C_OK(spillway_pool_open(&options.known, &pool));
  SPILLWAY_C_OK(spillway_pool_close(pool));
  options.added = 1;
  expect_failure(spillway_pool_open(&options.known, &pool), SPILLWAY_USAGE, "newer libspillway.so");
}

struct LaterStatistics {
  spillway_pool_statistics known;
  uint64_t added;
};

TEST_F(CPool, FillsLaterStatisticsWithZeros) {
  LaterStatistics statistics = {.known = {}, .added = 7};
  statistics.known.size = sizeof statistics;
  SPILLWAY_C_OK(spillway_pool_read_statistics(pool_, &statistics.known));
  EXPECT_EQ(statistics.known.size, sizeof statistics);
  EXPECT_EQ(statistics.known.hbm_limit_bytes, 8 * kExtent);
  EXPECT_EQ(statistics.added, 0u);
}

TEST(COpen, DefaultsAreThoseOfTheHeader) {
  const auto options = simulated_options();
  spillway_pool* pool = nullptr;
  SPILLWAY_C_OK(spillway_pool_open(&options, &pool));
  spillway_pool_statistics statistics = {};
  statistics.size = sizeof statistics;
  SPILLWAY_C_OK(spillway_pool_read_statistics(pool, &statistics));
  EXPECT_EQ(statistics.hbm_limit_bytes, (uint64_t{1} << 20) * 9 / 10);
  EXPECT_EQ(statistics.host_limit_bytes, uint64_t{1} << 20);
  SPILLWAY_C_OK(spillway_pool_close(pool));
}

TEST(COpen, NoBytesMeansNone) {
  auto options = simulated_options();
  options.host_budget_bytes = SPILLWAY_NO_BYTES;
  spillway_pool* pool = nullptr;
  SPILLWAY_C_OK(spillway_pool_open(&options, &pool));
  spillway_pool_statistics statistics = {};
  statistics.size = sizeof statistics;
  SPILLWAY_C_OK(spillway_pool_read_statistics(pool, &statistics));
  EXPECT_EQ(statistics.host_limit_bytes, 0u);
  SPILLWAY_C_OK(spillway_pool_close(pool));
}

TEST(COpen, ClosingGivesEverythingBack) {
  const auto options = simulated_options();
  const auto files = entries("/proc/self/fd");
  const auto threads = entries("/proc/self/task");
  spillway_pool* pool = nullptr;
  SPILLWAY_C_OK(spillway_pool_open(&options, &pool));
  EXPECT_GT(entries("/proc/self/fd"), files);
  EXPECT_GT(entries("/proc/self/task"), threads);
  SPILLWAY_C_OK(spillway_pool_close(pool));
  EXPECT_EQ(entries("/proc/self/fd"), files);
  EXPECT_EQ(entries("/proc/self/task"), threads);
}

TEST_F(CPool, ExplainsLikeSnprintf) {
  size_t length = 0;
  SPILLWAY_C_OK(spillway_pool_explain(pool_, nullptr, 0, &length));
  ASSERT_GT(length, 10u);
  std::vector<char> whole(length + 1, 'x');
  SPILLWAY_C_OK(spillway_pool_explain(pool_, whole.data(), whole.size(), nullptr));
  const std::string text = whole.data();
  EXPECT_EQ(text.size(), length);
  EXPECT_THAT(text, HasSubstr("HBM"));
  EXPECT_THAT(text, HasSubstr("host"));
  char part[6] = "xxxxx";
  SPILLWAY_C_OK(spillway_pool_explain(pool_, part, 5, &length));
  EXPECT_EQ(std::string(part), text.substr(0, 4)) << "cut off, with a 0 at the end";
  EXPECT_EQ(length, text.size()) << "of the whole text";
  char one = 'x';
  SPILLWAY_C_OK(spillway_pool_explain(pool_, &one, 1, nullptr));
  EXPECT_EQ(one, '\0');
  expect_null(spillway_pool_explain(pool_, nullptr, 1, &length), "buffer");
  expect_null(spillway_pool_explain(nullptr, part, 5, &length), "pool");
}

TEST_F(CPool, ReadsStatistics) {
  expect_null(spillway_pool_read_statistics(pool_, nullptr), "statistics");
  spillway_pool_statistics none = {};
  expect_null(spillway_pool_read_statistics(nullptr, &none), "pool");
  expect_failure(spillway_pool_read_statistics(pool_, &none), SPILLWAY_USAGE,
                 "statistics->size is 0");
  EXPECT_EQ(statistics().host_limit_bytes, 16 * kExtent);
  EXPECT_GT(statistics().driver_calls, 0u);
}

TEST_F(CPool, Trims) {
  SPILLWAY_C_OK(spillway_pool_trim(pool_));
  expect_null(spillway_pool_trim(nullptr), "pool");
  expect_null(spillway_pool_close(nullptr), "pool");
}

}  // namespace
}  // namespace spillway::c_api

// What each adaptor does beyond passing on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <thread>
#include <vector>

#include "platform/call_stack.h"
#include "spillway/memory/adaptors/failure_callback.h"
#include "spillway/memory/adaptors/fault.h"
#include "spillway/memory/adaptors/limit.h"
#include "spillway/memory/adaptors/log.h"
#include "spillway/memory/adaptors/statistics.h"
#include "spillway/memory/adaptors/tracking.h"
#include "support/plain_resource.h"

namespace spillway::memory {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;

class AdaptorTest : public testing::Test {
 protected:
  test::PlainResource plain_{kMiB};
};

using Limit = AdaptorTest;

TEST_F(Limit, TooBig) {
  LimitAdaptor limit(plain_, 1000);
  const auto refused = limit.allocate({}, 5000);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kBudget);
  EXPECT_THAT(refused.error().message,
              HasSubstr("the limit of 1000 B is too small: 0 B are held and 5.0 KiB more"));
  EXPECT_EQ(limit.held_bytes(), 0u);
}

TEST_F(Limit, CountsWholeUnitsOf256) {
  LimitAdaptor limit(plain_, 768);
  void* const one = limit.allocate({}, 1).value();
  void* const other = limit.allocate({}, 257).value();
  EXPECT_EQ(limit.held_bytes(), 768u);
  EXPECT_FALSE(limit.allocate({}, 1).has_value());
  EXPECT_TRUE(limit.allocate({}, 0).has_value());
  limit.deallocate({}, one, 1);
  void* const again = limit.allocate({}, 256).value();  // under the limit due to the free
  limit.deallocate({}, other, 257);
  limit.deallocate({}, again, 256);
  EXPECT_EQ(limit.held_bytes(), 0u);
}

TEST_F(Limit, AFailureOfTheUpstreamIsNotCharged) {
  LimitAdaptor limit(plain_, 100 * kMiB);
  EXPECT_FALSE(limit.allocate({}, 2 * kMiB).has_value());
  EXPECT_EQ(limit.allocate({}, 100, 512).error().code, ErrorCode::kUsage);
  EXPECT_EQ(limit.held_bytes(), 0u);
}

TEST_F(Limit, ThreadsNeverExceedIt) {
  LimitAdaptor limit(plain_, 4096);
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int step = 0; step < 500; ++step) {
        const auto pointer = limit.allocate({}, 1500);
        EXPECT_LE(limit.held_bytes(), 4096u);
        if (pointer) limit.deallocate({}, *pointer, 1500);
      }
    });
  }
  threads.clear();
  EXPECT_EQ(limit.held_bytes(), 0u);
}

using Statistics = AdaptorTest;

TEST_F(Statistics, Empty) {
  const StatisticsAdaptor statistics(plain_);
  EXPECT_EQ(statistics.counters(), Counters());
}

TEST_F(Statistics, CurrentPeakAndTotal) {
  StatisticsAdaptor statistics(plain_);
  void* const a = statistics.allocate({}, 100).value();
  void* const b = statistics.allocate({}, 50).value();
  statistics.deallocate({}, a, 100);
  void* const c = statistics.allocate({}, 10).value();
  EXPECT_FALSE(statistics.allocate({}, kGiB).has_value());  // does not count
  const Counters now = statistics.counters();
  EXPECT_EQ(now.bytes, (Counter{.current = 60, .peak = 150, .total = 160}));
  EXPECT_EQ(now.allocations, (Counter{.current = 2, .peak = 2, .total = 3}));
  statistics.deallocate({}, b, 50);
  statistics.deallocate({}, c, 10);
}

TEST_F(Statistics, PushedCountersSeeOnePhase) {
  StatisticsAdaptor statistics(plain_);
  void* const before = statistics.allocate({}, 100).value();
  EXPECT_EQ(statistics.push_counters().bytes.current, 100);
  void* const inside = statistics.allocate({}, 30).value();
  statistics.deallocate({}, before, 100);  // below zero: it was allocated before
  const Counters inner = statistics.pop_counters().value();
  EXPECT_EQ(inner.bytes, (Counter{.current = -70, .peak = 30, .total = 30}));
  EXPECT_EQ(statistics.counters().bytes, (Counter{.current = 30, .peak = 130, .total = 130}));
  EXPECT_EQ(statistics.counters().allocations, (Counter{.current = 1, .peak = 2, .total = 2}));
  EXPECT_EQ(statistics.pop_counters().error().code, ErrorCode::kUsage);
  statistics.deallocate({}, inside, 30);
}

TEST_F(Statistics, AdaptorsOverEachOtherCountTheSame) {
  StatisticsAdaptor inner(plain_);
  StatisticsAdaptor<decltype(inner)> outer(inner);  // without the type it would be a copy
  void* const through_both = outer.allocate({}, 10).value();
  void* const through_one = inner.allocate({}, 5).value();
  EXPECT_EQ(outer.counters().bytes.current, 10);
  EXPECT_EQ(inner.counters().bytes.current, 15);
  outer.deallocate({}, through_both, 10);
  inner.deallocate({}, through_one, 5);
}

using Log = AdaptorTest;

TEST_F(Log, WritesWhatRmmsReplayReads) {
  std::ostringstream out;
  const std::chrono::microseconds noon = std::chrono::hours(12) + std::chrono::minutes(3) +
                                         std::chrono::seconds(7) + std::chrono::microseconds(42);
  LogAdaptor log(plain_, out, [=] { return noon; });
  const Stream stream{reinterpret_cast<void*>(uintptr_t{0xAB00})};
  void* const pointer = log.allocate(stream, 1000).value();
  log.deallocate({}, pointer, 1000);
  EXPECT_FALSE(log.allocate({}, kGiB).has_value());
  const std::string row = fmt::format("{},12:03:07.000042,", platform::thread_id());
  EXPECT_EQ(out.str(), fmt::format("Thread,Time,Action,Pointer,Size,Stream\n"
                                   "{0}allocate,{1},1000,0xab00\n"
                                   "{0}free,{1},1000,0\n"
                                   "{0}allocate failure,(nil),1073741824,0\n",
                                   row, pointer));
}

using Tracking = AdaptorTest;

TEST_F(Tracking, EmptyHasNothingToReport) {
  const TrackingAdaptor tracking(plain_);
  EXPECT_TRUE(tracking.outstanding().empty());
  EXPECT_EQ(tracking.report(), "");
}

TEST_F(Tracking, KnowsWhatIsLeftAndWhoAskedForIt) {
  TrackingAdaptor tracking(plain_);
  const Stream stream{reinterpret_cast<void*>(uintptr_t{0xAB00})};
  void* const left = tracking.allocate(stream, 3000).value();
  void* const freed = tracking.allocate({}, 10).value();
  tracking.deallocate({}, freed, 10);
  const auto outstanding = tracking.outstanding();
  ASSERT_EQ(outstanding.size(), 1u);
  EXPECT_EQ(outstanding[0].pointer, left);
  EXPECT_EQ(outstanding[0].bytes, 3000u);
  EXPECT_EQ(outstanding[0].stream, stream);
  EXPECT_GT(outstanding[0].depth, 0u);
  EXPECT_EQ(tracking.outstanding_bytes(), 3000u);
  EXPECT_THAT(tracking.report(), HasSubstr("2.9 KiB at"));
  EXPECT_THAT(tracking.report(), HasSubstr("on stream 0xab00\n    "));
  EXPECT_THAT(tracking.report(), HasSubstr("unit_resource"));  // the program in a frame's line
  tracking.deallocate(stream, left, 3000);
}

TEST_F(Tracking, WithoutCallSites) {
  TrackingAdaptor tracking(plain_, CallSites::kNone);
  void* const left = tracking.allocate({}, 3000).value();
  EXPECT_EQ(tracking.outstanding()[0].depth, 0u);
  EXPECT_THAT(tracking.report(), MatchesRegex("2.9 KiB at 0x[0-9a-f]+ on stream 0x0\n"));
  tracking.deallocate({}, left, 3000);
}

TEST_F(Tracking, TheDestructorTellsOfLeaks) {
  std::string told;
  const auto tell = [&](const std::string& report) { told = report; };
  { TrackingAdaptor tracking(plain_, CallSites::kNone, tell); }
  EXPECT_EQ(told, "");
  void* left = nullptr;
  {
    TrackingAdaptor tracking(plain_, CallSites::kNone, tell);
    left = tracking.allocate({}, 3000).value();
  }
  EXPECT_THAT(told, HasSubstr("2.9 KiB at"));
  plain_.deallocate({}, left, 3000);
}

// An upstream that takes anything back.
struct Lenient {
  test::PlainResource& plain;
  Result<void*> allocate(Stream stream, size_t bytes, size_t alignment) {
    return plain.allocate(stream, bytes, alignment);
  }
  void deallocate(Stream, void*, size_t, size_t) noexcept {}
};

TEST_F(Tracking, WrongFreesAreCountedAndDoNotSpoilTheAccount) {
  Lenient lenient{plain_};
  TrackingAdaptor tracking(lenient);
  void* const pointer = tracking.allocate({}, 100).value();
  int other = 0;
  tracking.deallocate({}, &other, 50);  // not ours
  EXPECT_EQ(tracking.outstanding_bytes(), 100u);
  tracking.deallocate({}, pointer, 7);  // another size
  EXPECT_EQ(tracking.outstanding_bytes(), 0u);
  tracking.deallocate({}, pointer, 100);  // twice
  EXPECT_EQ(tracking.outstanding_bytes(), 0u);
  EXPECT_EQ(tracking.wrong_frees(), 3u);
}

using FaultInjection = AdaptorTest;

TEST_F(FaultInjection, OnceOrForGood) {
  for (bool for_good : {false, true}) {
    FaultAdaptor faulty(plain_, {.call = 2, .for_good = for_good, .code = ErrorCode::kBudget});
    std::vector<void*> held;
    for (int call = 1; call <= 4; ++call) {
      const auto pointer = faulty.allocate({}, 10);
      EXPECT_EQ(pointer.has_value(), call == 1 || (call > 2 && !for_good));
      if (pointer) held.push_back(*pointer);
      if (call == 2) {
        EXPECT_EQ(pointer.error().code, ErrorCode::kBudget);
      }
    }
    EXPECT_EQ(faulty.calls(), 4u);
    for (void* pointer : held) faulty.deallocate({}, pointer, 10);
  }
}

using FailureCallback = AdaptorTest;

TEST_F(FailureCallback, RetriesWhileItSaysSo) {
  FaultAdaptor faulty(plain_, {.call = 1});
  std::vector<size_t> asked;
  FailureCallbackAdaptor retrying(faulty, [&](size_t bytes, const Error& error) {
    EXPECT_EQ(error.code, ErrorCode::kMachine);
    asked.push_back(bytes);
    return true;
  });
  void* const pointer = retrying.allocate({}, 123).value();
  EXPECT_EQ(asked, std::vector<size_t>{123});
  retrying.deallocate({}, pointer, 123);
}

TEST_F(FailureCallback, GivesUpWhenItSaysSo) {
  int asked = 0;
  FailureCallbackAdaptor retrying(plain_, [&](size_t, const Error&) { return ++asked < 3; });
  EXPECT_EQ(retrying.allocate({}, kGiB).error().code, ErrorCode::kBudget);
  EXPECT_EQ(asked, 3);
}

TEST_F(FailureCallback, MayFreeToMakeRoom) {
  LimitAdaptor limit(plain_, 1024);
  void* spare = limit.allocate({}, 1024).value();
  FailureCallbackAdaptor retrying(limit, [&](size_t, const Error&) {
    if (spare == nullptr) return false;
    limit.deallocate({}, std::exchange(spare, nullptr), 1024);
    return true;
  });
  void* const pointer = retrying.allocate({}, 1000).value();
  retrying.deallocate({}, pointer, 1000);
}

}  // namespace
}  // namespace spillway::memory

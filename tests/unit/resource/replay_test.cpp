#include "spillway/memory/replay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <sstream>
#include <thread>

#include "spillway/memory/adaptors/log.h"
#include "spillway/memory/adaptors/statistics.h"
#include "support/plain_resource.h"

namespace spillway::memory {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr char kHeader[] = "Thread,Time,Action,Pointer,Size,Stream\n";

TEST(ParseLog, ReadsWhatRmmWrites) {
  const auto events = parse_log(std::string(kHeader) +
                                "4711,10:00:00.000001,allocate,0x7f0000000100,1024,0\n"
                                "4711,10:00:00:000002,allocate failure,(nil),99,0x2\r\n"
                                "\n"
                                "12,10:00:00.000003,free,7f0000000100,1024,5e8");
  ASSERT_TRUE(events.has_value()) << events.error().message;
  ASSERT_EQ(events->size(), 3u);
  EXPECT_EQ((*events)[0].thread, 4711u);
  EXPECT_EQ((*events)[0].action, LogAction::kAllocate);
  EXPECT_EQ((*events)[0].pointer, 0x7f0000000100u);
  EXPECT_EQ((*events)[0].bytes, 1024u);
  EXPECT_EQ((*events)[1].action, LogAction::kFailure);
  EXPECT_EQ((*events)[1].pointer, 0u);
  EXPECT_EQ((*events)[1].stream, 2u);
  EXPECT_EQ((*events)[2].action, LogAction::kFree);
  EXPECT_EQ((*events)[2].stream, 0x5e8u);
}

TEST(ParseLog, SaysWhichLineIsWrong) {
  const struct {
    std::string row;
    std::string message;
  } cases[] = {
      {"1,t,allocate,0x1,5", "six columns are expected, not '1,t,allocate,0x1,5'"},
      {"1,t,allocate,0x1,5,0,7", "six columns"},
      {"x,t,allocate,0x1,5,0", "the thread is no number: 'x'"},
      {",t,allocate,0x1,5,0", "the thread is no number: ''"},
      {"1,t,Allocate,0x1,5,0", "the action is not allocate"},
      {"1,t,allocate,0xg,5,0", "the pointer is none: '0xg'"},
      {"1,t,allocate,0x,5,0", "the pointer is none: '0x'"},
      {"1,t,allocate,0x11111111111111111,5,0", "the pointer is none"},
      {"1,t,allocate,0x1,-5,0", "the size is no number: '-5'"},
      {"1,t,allocate,0x1,18446744073709551616,0", "the size is no number"},
      {"1,t,allocate,0x1,5,\x1b[2J", "the stream is none: '\\x1b[2J'"},
  };
  for (const auto& [row, message] : cases) {
    const auto refused = parse_log(kHeader + std::string("1,t,free,0x1,5,0\n") + row + "\n");
    ASSERT_FALSE(refused.has_value()) << row;
    EXPECT_EQ(refused.error().code, ErrorCode::kBadFile);
    EXPECT_THAT(refused.error().message, StartsWith("line 3 of the log: "));
    EXPECT_THAT(refused.error().message, HasSubstr(message));
  }
  for (const char* text : {"", "\n", "Thread,Time\n", "1,t,free,0x1,5,0\n"}) {
    EXPECT_THAT(parse_log(text).error().message, StartsWith("line 1 of the log"));
  }
}

// Any bytes: a log or an error, and a replay that ends.
TEST(ParseLog, BytesThatWereChangedDoNoHarm) {
  std::mt19937 random(17);
  const std::string sound = std::string(kHeader) +
                            "1,t,allocate,0x100,10,0\n2,t,allocate,0x200,20,0x5\n"
                            "1,t,free,0x100,10,0\n2,t,allocate failure,(nil),1,0\n";
  for (int round = 0; round < 3000; ++round) {
    std::string text = sound;
    for (unsigned i = random() % 4; i > 0; --i) {
      const size_t at = random() % text.size();
      if (random() % 3 == 0) {
        text.erase(at, random() % 5);
      } else {
        text[at] = "0123456789abcx,\n\0f"[random() % 18];
      }
    }
    const auto events = parse_log(text);
    if (!events) continue;
    test::PlainResource plain(kMiB);
    const Replay replay(*events);
    (void)replay.run(AnyResource(plain), {});
    EXPECT_EQ(plain.held_bytes(), 0u);
  }
}

TEST(Replay, CountsWhatHappens) {
  const std::vector<LogEvent> events = {
      {.pointer = 1, .bytes = 100},
      {.pointer = 2, .bytes = kGiB},                              // will fail
      {.action = LogAction::kFailure, .bytes = 7},                // left out
      {.action = LogAction::kFree, .pointer = 1, .bytes = 5},     // of 100 bytes
      {.action = LogAction::kFree, .pointer = 2, .bytes = kGiB},  // there is nothing to free
      {.action = LogAction::kFree, .pointer = 3, .bytes = 1},     // unknown
      {.action = LogAction::kFree, .pointer = 1, .bytes = 100},   // twice
      {.pointer = 1, .bytes = 100},                               // its address once more
      {.pointer = 1, .bytes = 100},                               // without a free between
      {.bytes = 0},
  };
  test::PlainResource plain(kMiB);
  double time = 0;
  const Replay replay(events);
  const ReplayResult result =
      replay.run(AnyResource(plain), {.seconds = [&] { return time += 1.5; }});
  EXPECT_EQ(result.allocations, 4u);
  EXPECT_EQ(result.failures, 1u);
  EXPECT_EQ(result.frees, 1u);
  EXPECT_EQ(result.unknown_frees, 2u);
  EXPECT_EQ(result.left, 2u);
  EXPECT_EQ(result.seconds, 1.5);
  EXPECT_EQ(plain.held_bytes(), 0u);
}

// A log of several threads, replayed under a log: the same rows but for pointers and thread ids.
TEST(Replay, ThreadsKeepTheLogsOrder) {
  test::PlainResource plain;
  std::ostringstream first;
  LogAdaptor log(plain, first, [] { return std::chrono::microseconds(0); });
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < 3; ++i) {
      threads.emplace_back([&log, i] {
        for (unsigned step = 0; step < 50; ++step) {
          const size_t bytes = 1 + i * 1000 + step;
          const Stream stream{reinterpret_cast<void*>(uintptr_t{i} * 16)};
          log.deallocate(stream, log.allocate(stream, bytes).value(), bytes);
        }
      });
    }
  }
  const auto events = parse_log(first.str()).value();
  ASSERT_EQ(events.size(), 300u);
  const Replay replay(events);
  for (ReplayThreads threads : {ReplayThreads::kOne, ReplayThreads::kEach}) {
    std::ostringstream second;
    LogAdaptor again(plain, second, [] { return std::chrono::microseconds(0); });
    const auto to_stream = [](uint64_t logged) {
      return Stream{reinterpret_cast<void*>(static_cast<uintptr_t>(logged))};
    };
    const ReplayResult result =
        replay.run(AnyResource(again), {.threads = threads, .stream = to_stream});
    EXPECT_EQ(result.allocations, 150u);
    EXPECT_EQ(result.frees, 150u);
    EXPECT_EQ(result.left, 0u);
    const auto replayed = parse_log(second.str()).value();
    ASSERT_EQ(replayed.size(), events.size());
    for (size_t i = 0; i < events.size(); ++i) {
      EXPECT_EQ(replayed[i].action, events[i].action);
      EXPECT_EQ(replayed[i].bytes, events[i].bytes);
      EXPECT_EQ(replayed[i].stream, events[i].stream);
    }
  }
}

TEST(Replay, AnyNumberOfThreadIds) {
  std::vector<LogEvent> events;
  for (uint64_t i = 1; i <= 600; ++i) events.push_back({.thread = i, .pointer = i, .bytes = 8});
  test::PlainResource plain;
  const Replay replay(events);
  const ReplayResult result = replay.run(AnyResource(plain), {.threads = ReplayThreads::kEach});
  EXPECT_EQ(result.allocations, 600u);
  EXPECT_EQ(result.left, 600u);
}

}  // namespace
}  // namespace spillway::memory

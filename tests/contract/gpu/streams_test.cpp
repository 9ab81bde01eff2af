#include <thread>

#include "environment.h"

namespace spillway::platform {
namespace {

using GpuStreams = GpuContract;

TEST_P(GpuStreams, RunInOrder) {
  const Pieces pieces(gpu(), {places().back()});
  std::byte* at = pieces.start();
  for (int value = 1; value <= 20; ++value) {
    must(gpu().fill(at, static_cast<std::byte>(value), 1000, stream()));
    must(gpu().copy(CopyRequest{at + value * 1000, at, 1000}, stream()));
  }
  must(gpu().synchronise(stream()));
  for (int value = 1; value <= 20; ++value) {
    EXPECT_TRUE(all_equal(at + value * 1000, value, 1000)) << value;
  }
}

TEST_P(GpuStreams, EventsEndWhenWhatIsBeforeThemHas) {
  const HostBuffer target(gpu(), 4096);
  const Pieces pieces(gpu(), {Place::kDevice});
  fill(pieces.start(), 8, 4096);
  const EventId event = must(gpu().create_event());
  EXPECT_TRUE(must(gpu().ended(event)));  // never recorded
  must(gpu().wait(event));
  must(gpu().wait(stream(), event));
  must(gpu().copy(CopyRequest{target.data(), pieces.start(), 4096}, stream()));
  must(gpu().record(event, stream()));
  must(gpu().wait(event));
  EXPECT_EQ(target.data()[4095], std::byte{8});
  EXPECT_TRUE(must(gpu().ended(event)));
  // Recorded again, it means the later place.
  must(gpu().fill(pieces.start(), std::byte{9}, 4096, stream()));
  must(gpu().copy(CopyRequest{target.data(), pieces.start(), 4096}, stream()));
  must(gpu().record(event, stream()));
  while (!must(gpu().ended(event))) std::this_thread::yield();
  EXPECT_EQ(target.data()[4095], std::byte{9});
  must(gpu().destroy_event(event));
}

TEST_P(GpuStreams, WaitForEachOther) {
  const Pieces pieces(gpu(), {places().back()});
  std::byte* at = pieces.start();
  const Stream other = must(gpu().create_stream());
  const EventId here = must(gpu().create_event());
  const EventId there = must(gpu().create_event());
  fill(at, 0, pieces.bytes());
  // A byte goes back and forth, one further each time: one wait that does not hold breaks the row.
  must(gpu().fill(at, std::byte{7}, 1000, stream()));
  for (size_t i = 0; i < 20; ++i) {
    must(gpu().record(here, stream()));
    must(gpu().wait(other, here));
    must(gpu().copy(CopyRequest{at + (2 * i + 1) * 1000, at + 2 * i * 1000, 1000}, other));
    must(gpu().record(there, other));
    must(gpu().wait(stream(), there));
    must(gpu().copy(CopyRequest{at + (2 * i + 2) * 1000, at + (2 * i + 1) * 1000, 1000}, stream()));
  }
  must(gpu().synchronise(stream()));
  EXPECT_TRUE(all_equal(at, 7, 41 * 1000));
  must(gpu().destroy_event(here));
  must(gpu().destroy_event(there));
  must(gpu().destroy_stream(other));
}

TEST_P(GpuStreams, AnEventMayGoOnceItIsWaitedFor) {
  const Pieces pieces(gpu(), {Place::kDevice});
  std::byte* at = pieces.start();
  const Stream other = must(gpu().create_stream());
  const EventId event = must(gpu().create_event());
  must(gpu().fill(at, std::byte{7}, 10000, stream()));
  must(gpu().record(event, stream()));
  must(gpu().wait(other, event));
  must(gpu().destroy_event(event));
  must(gpu().copy(CopyRequest{at + 20000, at, 10000}, other));
  must(gpu().synchronise(other));
  EXPECT_TRUE(all_equal(at + 20000, 7, 10000));
  must(gpu().destroy_stream(other));
}

TEST_P(GpuStreams, WorkOfADestroyedStreamEnds) {
  const HostBuffer target(gpu(), 4096);
  const Pieces pieces(gpu(), {Place::kDevice});
  fill(pieces.start(), 8, 4096);
  const EventId event = must(gpu().create_event());
  const Stream other = must(gpu().create_stream());
  for (int i = 0; i < 10; ++i) {
    must(gpu().copy(CopyRequest{target.data(), pieces.start(), 4096}, other));
  }
  must(gpu().record(event, other));
  must(gpu().destroy_stream(other));
  must(gpu().wait(event));
  EXPECT_EQ(target.data()[4095], std::byte{8});
  must(gpu().destroy_event(event));
}

TEST_P(GpuStreams, TheNullStreamCannotBeDestroyed) {
  expect_error(gpu().destroy_stream({}), ErrorCode::kUsage);
  must(gpu().synchronise({}));
}

TEST_P(GpuStreams, ManyAreMadeAndDestroyed) {
  for (int i = 0; i < 50; ++i) {
    const Stream made = must(gpu().create_stream());
    const EventId event = must(gpu().create_event());
    must(gpu().record(event, made));
    must(gpu().destroy_stream(made));
    must(gpu().destroy_event(event));
  }
}

INSTANTIATE_TEST_SUITE_P(Gpus, GpuStreams, testing::ValuesIn(gpu_kinds()), name_of_kind);

}  // namespace
}  // namespace spillway::platform

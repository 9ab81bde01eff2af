// What a Resource promises to several threads and streams: the matrix of RMM's suite.
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "base/units.h"
#include "resource_contract.h"

namespace spillway::memory {
namespace {

constexpr unsigned kThreads = 4;

Stream stream_number(unsigned number) {
  return {reinterpret_cast<void*>(uintptr_t{number} * 0x1000)};
}

// Random allocations mixed with frees; every block is filled, and checked before it is freed.
void churn(AnyResource resource, unsigned seed, const std::vector<Stream>& streams) {
  struct Held {
    unsigned char* pointer;
    size_t bytes;
    unsigned char mark;
  };
  std::mt19937_64 random(seed);
  std::vector<Held> held;
  const auto any_stream = [&] { return streams[random() % streams.size()]; };
  for (int step = 0; step < 400 || !held.empty(); ++step) {
    if (step < 400 && (held.empty() || random() % 3 != 0)) {
      const size_t bytes = 1 + random() % 5000;
      auto* const pointer =
          static_cast<unsigned char*>(resource.allocate(any_stream(), bytes).value());
      held.push_back({pointer, bytes, static_cast<unsigned char>(seed * 31 + unsigned(step))});
      std::memset(pointer, held.back().mark, bytes);
    } else {
      std::swap(held[random() % held.size()], held.back());
      const Held& last = held.back();
      for (size_t i = 0; i < last.bytes; ++i) ASSERT_EQ(last.pointer[i], last.mark);
      resource.deallocate(any_stream(), last.pointer, last.bytes);
      held.pop_back();
    }
  }
}

void churn_in_threads(AnyResource resource, bool own_streams, const std::vector<Stream>& shared) {
  std::vector<std::jthread> threads;
  for (unsigned i = 0; i < kThreads; ++i) {
    threads.emplace_back(
        [=] { churn(resource, i + 1, own_streams ? std::vector{stream_number(i + 1)} : shared); });
  }
}

TEST_P(ResourceContract, ThreadsOnTheDefaultStream) {
  churn_in_threads(resource_, false, {Stream()});
}

TEST_P(ResourceContract, ThreadsOnOneStream) {
  churn_in_threads(resource_, false, {stream_number(1)});
}

TEST_P(ResourceContract, ThreadsOnStreamsOfTheirOwn) {
  churn_in_threads(resource_, true, {});
}

TEST_P(ResourceContract, ThreadsThatFreeOnOtherStreams) {
  churn_in_threads(resource_, false, {Stream(), stream_number(1), stream_number(2)});
}

// One thread allocates, the other frees.
void hand_over(AnyResource resource, Stream allocates, Stream frees) {
  struct Item {
    unsigned char* pointer;
    size_t bytes;
  };
  constexpr int kItems = 300;
  std::mutex mutex;
  std::condition_variable more;
  std::deque<Item> items;
  std::jthread producer([&] {
    std::mt19937_64 random(3);
    for (int i = 0; i < kItems; ++i) {
      const size_t bytes = 1 + random() % 20'000;
      auto* const pointer =
          static_cast<unsigned char*>(resource.allocate(allocates, bytes).value());
      std::memset(pointer, static_cast<int>(bytes % 251), bytes);
      const std::lock_guard lock(mutex);
      items.push_back({pointer, bytes});
      more.notify_one();
    }
  });
  for (int i = 0; i < kItems; ++i) {
    std::unique_lock lock(mutex);
    more.wait(lock, [&] { return !items.empty(); });
    const Item item = items.front();
    items.pop_front();
    lock.unlock();
    for (size_t j = 0; j < item.bytes; ++j) ASSERT_EQ(item.pointer[j], item.bytes % 251);
    resource.deallocate(frees, item.pointer, item.bytes);
  }
}

TEST_P(ResourceContract, AnotherThreadFreesOnTheDefaultStream) {
  hand_over(resource_, {}, {});
}

TEST_P(ResourceContract, AnotherThreadFreesOnTheSameStream) {
  hand_over(resource_, stream_number(1), stream_number(1));
}

TEST_P(ResourceContract, AnotherThreadFreesOnAnotherStream) {
  hand_over(resource_, stream_number(1), stream_number(2));
}

// Threads that each need more than their share: some fail, none crashes, nothing is lost.
TEST_P(ResourceContract, ThreadsAtTheEndOfTheMemory) {
  std::vector<std::jthread> threads;
  for (unsigned i = 0; i < kThreads; ++i) {
    threads.emplace_back([this, i] {
      std::vector<void*> held;
      const Stream stream = stream_number(i);
      for (int step = 0; step < 20; ++step) {
        if (auto pointer = resource_.allocate(stream, 48 * kMiB)) held.push_back(*pointer);
        if (step % 3 != 2 || held.empty()) continue;
        resource_.deallocate(stream, held.back(), 48 * kMiB);
        held.pop_back();
      }
      for (void* pointer : held) resource_.deallocate(stream, pointer, 48 * kMiB);
    });
  }
  threads.clear();  // joins
  void* const all = resource_.allocate({}, kCapacity).value();
  resource_.deallocate({}, all, kCapacity);
}

}  // namespace
}  // namespace spillway::memory

// What a Resource promises to several threads and streams: the matrix of RMM's suite.
#include <condition_variable>
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
void churn(Instance& instance, unsigned seed, const std::vector<Stream>& streams) {
  struct Held {
    void* pointer;
    size_t bytes;
    unsigned char mark;
  };
  AnyResource resource = instance.resource();
  std::mt19937_64 random(seed);
  std::vector<Held> held;
  const auto any_stream = [&] { return streams[random() % streams.size()]; };
  for (int step = 0; step < 400 || !held.empty(); ++step) {
    if (step < 400 && (held.empty() || random() % 3 != 0)) {
      const size_t bytes = 1 + random() % 5000;
      void* const pointer = resource.allocate(any_stream(), bytes).value();
      held.push_back({pointer, bytes, static_cast<unsigned char>(seed * 31 + unsigned(step))});
      instance.fill(pointer, held.back().mark, bytes);
    } else {
      std::swap(held[random() % held.size()], held.back());
      const Held& last = held.back();
      ASSERT_TRUE(instance.holds(last.pointer, last.mark, last.bytes));
      resource.deallocate(any_stream(), last.pointer, last.bytes);
      held.pop_back();
    }
  }
}

void churn_in_threads(Instance& instance, bool own_streams, const std::vector<Stream>& shared) {
  std::vector<std::jthread> threads;
  for (unsigned i = 0; i < kThreads; ++i) {
    threads.emplace_back([=, &instance] {
      churn(instance, i + 1, own_streams ? std::vector{stream_number(i + 1)} : shared);
    });
  }
}

TEST_P(ResourceContract, ThreadsOnTheDefaultStream) {
  churn_in_threads(*instance_, false, {Stream()});
}

TEST_P(ResourceContract, ThreadsOnOneStream) {
  churn_in_threads(*instance_, false, {stream_number(1)});
}

TEST_P(ResourceContract, ThreadsOnStreamsOfTheirOwn) {
  churn_in_threads(*instance_, true, {});
}

TEST_P(ResourceContract, ThreadsThatFreeOnOtherStreams) {
  churn_in_threads(*instance_, false, {Stream(), stream_number(1), stream_number(2)});
}

// One thread allocates, the other frees.
void hand_over(Instance& instance, Stream allocates, Stream frees) {
  struct Item {
    void* pointer;
    size_t bytes;
  };
  constexpr int kItems = 300;
  AnyResource resource = instance.resource();
  std::mutex mutex;
  std::condition_variable more;
  std::deque<Item> items;
  std::jthread producer([&] {
    std::mt19937_64 random(3);
    for (int i = 0; i < kItems; ++i) {
      const size_t bytes = 1 + random() % 20'000;
      void* const pointer = resource.allocate(allocates, bytes).value();
      instance.fill(pointer, static_cast<unsigned char>(bytes % 251), bytes);
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
    const auto mark = static_cast<unsigned char>(item.bytes % 251);
    ASSERT_TRUE(instance.holds(item.pointer, mark, item.bytes));
    resource.deallocate(frees, item.pointer, item.bytes);
  }
}

TEST_P(ResourceContract, AnotherThreadFreesOnTheDefaultStream) {
  hand_over(*instance_, {}, {});
}

TEST_P(ResourceContract, AnotherThreadFreesOnTheSameStream) {
  hand_over(*instance_, stream_number(1), stream_number(1));
}

TEST_P(ResourceContract, AnotherThreadFreesOnAnotherStream) {
  hand_over(*instance_, stream_number(1), stream_number(2));
}

// Threads that each need more than their share: some fail, none crashes, nothing is lost.
TEST_P(ResourceContract, ThreadsAtTheEndOfTheMemory) {
  std::vector<std::jthread> threads;
  for (unsigned i = 0; i < kThreads; ++i) {
    threads.emplace_back([this, i] {
      std::vector<void*> held;
      const Stream stream = stream_number(i);
      for (int step = 0; step < 20; ++step) {
        if (auto pointer = resource().allocate(stream, 48 * kMiB)) held.push_back(*pointer);
        if (step % 3 != 2 || held.empty()) continue;
        resource().deallocate(stream, held.back(), 48 * kMiB);
        held.pop_back();
      }
      for (void* pointer : held) resource().deallocate(stream, pointer, 48 * kMiB);
    });
  }
  threads.clear();  // joins
  void* const all = resource().allocate({}, kCapacity).value();
  resource().deallocate({}, all, kCapacity);
}

}  // namespace
}  // namespace spillway::memory

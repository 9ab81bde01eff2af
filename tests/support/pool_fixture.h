// A pool on a GPU of a test's own, and checks of the bytes in its regions. One thread.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/units.h"
#include "platform/simulated/simulated_gpu.h"
#include "spillway/memory/pool.h"

namespace spillway::test {

// The word at index i of a pattern: splitmix64 of both.
inline uint64_t pattern_word(uint64_t seed, uint64_t index) {
  uint64_t x = seed * 0x9e3779b97f4a7c15U + index;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

// write(words, count, seed) and check(words, count, seed, mismatches): the second counts what
// differs.
inline const platform::Kernel kWritePattern{
    .name = "write_pattern", .image = {}, .stand_in = [](std::span<const uint64_t> arguments) {
      auto* words = platform::from_argument<uint64_t*>(arguments[0]);
      for (uint64_t i = 0; i < arguments[1]; ++i) words[i] = pattern_word(arguments[2], i);
    }};
inline const platform::Kernel kCheckPattern{
    .name = "check_pattern", .image = {}, .stand_in = [](std::span<const uint64_t> arguments) {
      const auto* words = platform::from_argument<const uint64_t*>(arguments[0]);
      auto* wrong = platform::from_argument<std::atomic<uint64_t>*>(arguments[3]);
      for (uint64_t i = 0; i < arguments[1]; ++i) {
        if (words[i] != pattern_word(arguments[2], i)) ++*wrong;
      }
    }};

inline Result<void> launch_write(platform::Gpu& gpu, const memory::Pin& pin, uint64_t seed,
                                 Stream stream) {
  const platform::KernelArgument arguments[] = {platform::to_argument(pin.data()),
                                                pin.size_bytes() / sizeof(uint64_t), seed};
  return gpu.launch(kWritePattern, {}, arguments, stream);
}

inline Result<void> launch_check(platform::Gpu& gpu, const memory::Pin& pin, uint64_t seed,
                                 std::atomic<uint64_t>& wrong, Stream stream) {
  const platform::KernelArgument arguments[] = {platform::to_argument(pin.data()),
                                                pin.size_bytes() / sizeof(uint64_t), seed,
                                                platform::to_argument(&wrong)};
  return gpu.launch(kCheckPattern, {}, arguments, stream);
}

}  // namespace spillway::test

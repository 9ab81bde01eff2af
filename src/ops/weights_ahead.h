// Weights of products that are to come, on their way into caches while threads have nothing else to
// do. Products follow each other as they did before. Thread-compatible.
#pragma once

#include <cstddef>
#include <unordered_map>

#include "base/thread_pool.h"
#include "ops/ops.h"

namespace spillway::ops {

class WeightsAhead {
 public:
  // The pool, which outlives it, is that of the products, and of whoever calls this.
  explicit WeightsAhead(ThreadPool& pool) : pool_(pool) {}

  // A piece more of a weight, in a few microseconds, as something else may come meanwhile. False:
  // it has come as far as is useful.
  bool bring(const WeightRows& weight);
  // The same, of what is expected next. False also: nothing is.
  bool bring_expected();
  // The weight is multiplied now.
  void use(const WeightRows& weight);

 private:
  ThreadPool& pool_;
  // By the weight before. They may be gone by now: their addresses are no more than a guess.
  std::unordered_map<const std::byte*, WeightRows> followers_;
  const std::byte* last_ = nullptr;    // the last that was used
  const std::byte* coming_ = nullptr;  // the one that comes,
  size_t pieces_ = 0;                  // and how much of it has come
};

}  // namespace spillway::ops

// Makes one allocation fail, or all from one on: for tests of what its users do then. Thread-safe
// where the upstream is, which outlives it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "spillway/memory/resource.h"

namespace spillway::memory {

struct Fault {
  uint64_t call = 1;      // of allocate(), counted from 1; 0: none fails
  bool for_good = false;  // later calls fail as well
  ErrorCode code = ErrorCode::kMachine;
};

// The part of FaultAdaptor that knows no upstream. Thread-safe.
class FaultCounter {
 public:
  explicit FaultCounter(const Fault& fault) : fault_(fault) {}
  Result<void> count();
  uint64_t calls() const { return calls_; }

 private:
  const Fault fault_;
  std::atomic<uint64_t> calls_ = 0;
};

template <Resource Upstream>
class FaultAdaptor {
 public:
  FaultAdaptor(Upstream& upstream, const Fault& fault) : upstream_(upstream), counter_(fault) {}

  Result<void*> allocate(Stream stream, size_t bytes, size_t alignment = kAlignment) {
    if (auto counted = counter_.count(); !counted) {
      return tl::make_unexpected(std::move(counted).error());
    }
    return upstream_.allocate(stream, bytes, alignment);
  }
  void deallocate(Stream stream, void* pointer, size_t bytes,
                  size_t alignment = kAlignment) noexcept {
    upstream_.deallocate(stream, pointer, bytes, alignment);
  }

  uint64_t calls() const { return counter_.calls(); }

 private:
  Upstream& upstream_;
  FaultCounter counter_;
};

}  // namespace spillway::memory

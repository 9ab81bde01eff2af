// Host memory that a GPU's copy engines and kernels reach at the address that the CPU uses. Its
// size is exact (whole pages, no powers of two), its pages are 2 MiB where the system has them, and
// several threads make them: many times as fast as the driver's own pinned allocation.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "spillway/memory/budget.h"
#include "spillway/memory/pool.h"

namespace spillway::memory {

struct PinnedMemoryOptions {
  size_t bytes = 0;
  Tag tag = Tag::kStaging;
  std::string name = "pinned memory";
  unsigned threads = 0;  // that make the pages; 0: one a core, 16 at most
};

// Owned by whoever made it; the pool outlives it. Thread-compatible.
class PinnedMemory {
 public:
  // Charged to the pool's host budget. Bytes are zero. kUsage: no bytes; kBudget; kMachine.
  static Result<std::unique_ptr<PinnedMemory>> create(Pool& pool,
                                                      const PinnedMemoryOptions& options);
  // No copy uses it any more.
  ~PinnedMemory();
  PinnedMemory(const PinnedMemory&) = delete;
  PinnedMemory& operator=(const PinnedMemory&) = delete;

  std::span<std::byte> bytes() const;

 private:
  struct State;
  explicit PinnedMemory(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace spillway::memory

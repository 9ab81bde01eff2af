// Measures what a machine's disk and memory can do. Everything that a measurement holds is charged
// to the budget while it runs. One thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "base/units.h"
#include "machine/machine.h"
#include "memory/staging_ring.h"
#include "platform/platform.h"
#include "spillway/memory/budget.h"

namespace spillway::machine {

// A multiple of every block size.
inline constexpr uint64_t kSamplePiece = 4 * kMiB;

struct Sweep {
  size_t block_bytes = 0;
  unsigned depth = 0;
  uint64_t first_byte = 0;           // rounded down to the file's alignment
  uint64_t size_bytes = UINT64_MAX;  // of the file, from there on; up to its end at most
  // Of that many bytes each only the first kSamplePiece are read: parts of a file differ in how
  // fast they come, so that a sample of a large one is taken from all over it. Not less than the
  // piece.
  uint64_t stride_bytes = kSamplePiece;
};

// Reads a part of the file once, in order, in blocks, `depth` of them in flight: bytes per second.
// kBudget, kMachine, kBadFile (an empty file).
Result<double> sweep_disk(platform::Platform& platform, memory::Budget& budget,
                          const platform::File& file, const Sweep& sweep);

// A turn of a staging ring that nobody computes beside: bytes per second as a plan's reads come, in
// their order, into their slots. Of a long cycle a sample from all over it. kBudget, kMachine,
// kBadFile.
Result<double> sweep_ring(platform::Platform& platform, memory::Budget& budget,
                          const platform::File& file, const std::vector<memory::StreamRange>& cycle,
                          const memory::StagingRing::Options& ring_options);

// The block sizes and depths worth measuring whose buffers fit into `staging_bytes`; at least one.
std::vector<Sweep> sweep_grid(uint64_t staging_bytes);

// A table of rates over the grid: the median of a few rounds of short sweeps (at most 32 MiB each,
// each where the last one ended), for about two seconds. kInterrupted once `stop` is set (it may be
// null).
Result<Disk> measure_disk(platform::Platform& platform, memory::Budget& budget,
                          const platform::File& file, uint64_t staging_bytes,
                          const std::atomic<bool>* stop = nullptr);

// Reads of `buffer_bytes` of host memory on all of the pool's threads: bytes per second, best of a
// few.
Result<double> measure_dram(platform::Platform& platform, memory::Budget& budget, ThreadPool& pool,
                            size_t buffer_bytes);

}  // namespace spillway::machine

// A disk that is kept busy while something else is measured: reads of a file in flight, round and
// round. One thread; reads go on by themselves between calls.
#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "machine/measure.h"
#include "memory/host_region.h"
#include "platform/platform.h"

namespace spillway::machine {

class DiskLoad {
 public:
  // `reads.depth` blocks in flight, one behind the other over the whole file. The buffers are
  // charged to Tag::kStaging; file and budget outlive this. kBudget, kMachine; kBadFile: a file of
  // less than a block.
  static Result<std::unique_ptr<DiskLoad>> create(platform::Platform& platform,
                                                  memory::Budget& budget,
                                                  const platform::File& file, const Sweep& reads);

  // Asks for as much again as has been read by now; does not block. kMachine.
  Result<void> step();

  uint64_t bytes_read() const { return bytes_read_; }

 private:
  DiskLoad(const platform::FileInfo& file, size_t block_bytes)
      : file_(file), block_bytes_(block_bytes) {}
  Result<void> read_into(uint64_t slot);

  const platform::FileInfo& file_;
  const size_t block_bytes_;
  uint64_t next_ = 0;  // offset of the next read
  uint64_t bytes_read_ = 0;
  std::unique_ptr<memory::HostRegion> buffer_;
  std::unique_ptr<platform::ReadQueue> queue_;  // last: waits for reads into the buffer
};

}  // namespace spillway::machine

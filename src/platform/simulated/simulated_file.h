// A file of a simulated machine. Thread-safe; the queue is for one thread.
#pragma once

#include <memory>

#include "platform/simulated/machine_state.h"

namespace spillway::platform {

class SimulatedFile : public File {
 public:
  SimulatedFile(MachineState& state, StoredFile& stored, FileInfo info, OpenOptions options)
      : state_(state), stored_(stored), info_(std::move(info)), options_(options) {}

  const FileInfo& info() const override { return info_; }
  Result<size_t> read(uint64_t offset, std::span<std::byte> target) const override;
  Result<std::unique_ptr<ReadQueue>> open_queue(unsigned depth) const override;
  Result<std::unique_ptr<FileMapping>> map() const override;
  uint64_t cached_bytes() const override;
  void drop_cache() const override;
  Result<uint64_t> current_size() const override;

  // For read() and the queue; with the lock held.
  uint64_t start_transfer(uint64_t offset, size_t size) const;  // of what is not cached
  size_t take(uint64_t offset, std::span<std::byte> target) const;

 private:
  MachineState& state_;
  StoredFile& stored_;
  FileInfo info_;
  OpenOptions options_;
};

std::unique_ptr<ReadQueue> make_simulated_queue(MachineState& state, const SimulatedFile& file,
                                                unsigned depth);

}  // namespace spillway::platform

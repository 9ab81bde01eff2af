// A regular file on linux. Thread-safe; the queues that it opens are for one thread each.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "platform/linux/descriptor.h"
#include "platform/platform.h"

namespace spillway::platform {

class LinuxFile : public File {
 public:
  LinuxFile(Descriptor descriptor, FileInfo info, OpenOptions options)
      : descriptor_(std::move(descriptor)), info_(std::move(info)), options_(options) {}

  const FileInfo& info() const override { return info_; }
  Result<size_t> read(uint64_t offset, std::span<std::byte> target) const override;
  Result<std::unique_ptr<ReadQueue>> open_queue(unsigned depth) const override;
  Result<std::unique_ptr<FileMapping>> map() const override;
  uint64_t cached_bytes() const override;
  void drop_cache() const override;
  Result<uint64_t> current_size() const override;

  int descriptor() const { return descriptor_.get(); }
  // Reads must drop the pages that they bring into the cache.
  bool drops_pages() const { return options_.caching == Caching::kAvoid && !info_.direct; }
  // A read with the file's alignments, complete unless the file ends; blocks.
  Result<size_t> read_aligned(const ReadRequest& request) const;
  // The last attempt at `request` began `position` bytes into it and got `bytes`. Where the next
  // attempt begins; nothing if the read is complete or the file ends there.
  std::optional<size_t> next_position(const ReadRequest& request, size_t position,
                                      size_t bytes) const;
  tl::unexpected<Error> read_error(const ReadRequest& request, int error) const;

 private:
  Result<size_t> read_by_bounce(uint64_t offset, std::span<std::byte> target) const;

  Descriptor descriptor_;
  FileInfo info_;
  OpenOptions options_;
};

enum class DirectReads { kTry, kRefuse };  // kRefuse: as a file system that has no O_DIRECT

Result<std::unique_ptr<LinuxFile>> open_file(const std::string& path, OpenOptions options,
                                             DirectReads direct = DirectReads::kTry);

// Queues of each method; the first fails where the system refuses io_uring.
Result<std::unique_ptr<ReadQueue>> open_uring_queue(const LinuxFile& file, unsigned depth);
Result<std::unique_ptr<ReadQueue>> open_thread_queue(const LinuxFile& file, unsigned depth);

}  // namespace spillway::platform

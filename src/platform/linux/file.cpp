#include "platform/linux/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "base/check.h"
#include "base/units.h"
#include "platform/linux/aligned_buffer.h"
#include "platform/linux/error_text.h"
#include "platform/linux/page_cache.h"

namespace spillway::platform {
namespace {

// Of an unaligned read that goes through a buffer of ours; large enough that the disk, not the
// call, takes the time.
constexpr size_t kBounceBytes = 256 * kKiB;
constexpr uint64_t kMaxOffset = std::numeric_limits<off_t>::max();

// Of one request to read ahead: the system's own default, beyond which it may leave out the rest.
constexpr size_t kReadAheadBytes = 128 * kKiB;

class LinuxMapping : public FileMapping {
 public:
  LinuxMapping(std::span<std::byte> bytes, std::string path)
      : bytes_(bytes), path_(std::move(path)) {}
  ~LinuxMapping() override {
    if (!bytes_.empty()) munmap(bytes_.data(), bytes_.size());
  }
  LinuxMapping(const LinuxMapping&) = delete;
  LinuxMapping& operator=(const LinuxMapping&) = delete;
  std::span<const std::byte> bytes() const override { return bytes_; }
  void forget(size_t offset, size_t size) const override {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t begin = round_up(offset, page);
    const size_t end = round_down(offset + size, page);
    if (begin < end) madvise(bytes_.data() + begin, end - begin, MADV_DONTNEED);
  }
  void read_ahead(size_t offset, size_t size) const override {
    const std::span<std::byte> pages = pages_of(offset, size);
    for (size_t at = 0; at < pages.size(); at += kReadAheadBytes) {
      const auto piece = pages.subspan(at, std::min(kReadAheadBytes, pages.size() - at));
      madvise(piece.data(), piece.size(), MADV_WILLNEED);
    }
  }
  // A page that cannot be read is an error here, where touching it would raise SIGBUS.
  Result<void> bring(size_t offset, size_t size) const override {
    const std::span<std::byte> pages = pages_of(offset, size);
    while (madvise(pages.data(), pages.size(), MADV_POPULATE_READ) != 0) {
      if (errno == EINTR || errno == EAGAIN) continue;
      return fail(ErrorCode::kMachine, "{}: cannot read {} bytes at {}: {}", path_, size, offset,
                  errno == EFAULT   ? "the disk failed, or the file was truncated"
                  : errno == EINVAL ? "this needs Linux 5.14"
                                    : error_text(errno));
    }
    return {};
  }

 private:
  // Those that [offset, offset + size) touches.
  std::span<std::byte> pages_of(size_t offset, size_t size) const {
    const size_t begin = round_down(offset, static_cast<size_t>(sysconf(_SC_PAGESIZE)));
    return bytes_.subspan(begin, offset + size - begin);
  }

  std::span<std::byte> bytes_;
  std::string path_;
};

}  // namespace

Result<size_t> LinuxFile::read(uint64_t offset, std::span<std::byte> target) const {
  if (target.empty() || offset > kMaxOffset - target.size()) return size_t{0};
  const bool aligned = offset % info_.offset_alignment == 0 &&
                       target.size() % info_.offset_alignment == 0 &&
                       reinterpret_cast<uintptr_t>(target.data()) % info_.memory_alignment == 0;
  if (aligned) return read_aligned({offset, target});
  return read_by_bounce(offset, target);
}

Result<size_t> LinuxFile::read_by_bounce(uint64_t offset, std::span<std::byte> target) const {
  const uint64_t end = offset + target.size();
  uint64_t begin = round_down(offset, info_.offset_alignment);
  const uint64_t span = round_up(end, info_.offset_alignment) - begin;
  const size_t bounce_bytes =
      round_up(std::min<uint64_t>(span, kBounceBytes), info_.offset_alignment);
  SPILLWAY_ASSIGN(const AlignedBuffer bounce,
                  AlignedBuffer::make(bounce_bytes, info_.memory_alignment));
  size_t copied = 0;
  for (; copied < target.size(); begin += bounce_bytes) {
    const size_t wanted =
        std::min<uint64_t>(bounce_bytes, round_up(end, info_.offset_alignment) - begin);
    SPILLWAY_ASSIGN(const size_t bytes, read_aligned({begin, bounce.bytes().first(wanted)}));
    const size_t skip = copied == 0 ? offset - begin : 0;
    if (bytes <= skip) break;
    const size_t part = std::min(bytes - skip, target.size() - copied);
    std::copy_n(bounce.bytes().data() + skip, part, target.data() + copied);
    copied += part;
    if (bytes < wanted) break;
  }
  return copied;
}

Result<size_t> LinuxFile::read_aligned(const ReadRequest& request) const {
  const std::span<std::byte> target = request.target;
  std::optional<CacheGuard> guard;
  if (drops_pages()) guard.emplace(descriptor(), request.offset, target.size());
  size_t position = 0;
  for (;;) {
    const ssize_t bytes = pread(descriptor(), target.data() + position, target.size() - position,
                                static_cast<off_t>(request.offset + position));
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) return read_error(request, errno);
    const auto next = next_position(request, position, static_cast<size_t>(bytes));
    if (!next) {
      if (guard) guard->forget_new_pages();
      return position + static_cast<size_t>(bytes);
    }
    position = *next;
  }
}

std::optional<size_t> LinuxFile::next_position(const ReadRequest& request, size_t position,
                                               size_t bytes) const {
  const size_t done = position + bytes;
  if (bytes == 0 || done == request.target.size()) return std::nullopt;
  const auto size = current_size();
  if (size && request.offset + done >= *size) return std::nullopt;
  // What is read twice is less than an alignment.
  const size_t next = round_down(done, info_.offset_alignment);
  if (next <= position) return std::nullopt;
  return next;
}

tl::unexpected<Error> LinuxFile::read_error(const ReadRequest& request, int error) const {
  return fail(ErrorCode::kMachine, "{}: reading {} bytes at offset {} failed: {}", info_.path,
              request.target.size(), request.offset, error_text(error));
}

Result<std::unique_ptr<ReadQueue>> LinuxFile::open_queue(unsigned depth) const {
  SPILLWAY_CHECK(depth >= 1);
  if (options_.queue != QueueMethod::kThreads) {
    auto queue = open_uring_queue(*this, depth);
    if (queue || options_.queue == QueueMethod::kIoUring) return queue;
  }
  return open_thread_queue(*this, depth);
}

Result<std::unique_ptr<FileMapping>> LinuxFile::map() const {
  SPILLWAY_ASSIGN(const uint64_t size, current_size());
  if (size < info_.size_bytes) {
    return fail(ErrorCode::kBadFile,
                "{}: the file got shorter while it was open: {} bytes, were {}", info_.path, size,
                info_.size_bytes);
  }
  if (info_.size_bytes == 0)
    return std::make_unique<LinuxMapping>(std::span<std::byte>(), info_.path);
  void* bytes = mmap(nullptr, info_.size_bytes, PROT_READ, MAP_SHARED, descriptor(), 0);
  if (bytes == MAP_FAILED) {
    return fail(ErrorCode::kMachine, "{}: cannot map the file: {}", info_.path, error_text(errno));
  }
  return std::make_unique<LinuxMapping>(std::span(static_cast<std::byte*>(bytes), info_.size_bytes),
                                        info_.path);
}

uint64_t LinuxFile::cached_bytes() const {
  return cached_bytes_of(descriptor(), info_.size_bytes);
}

void LinuxFile::drop_cache() const {
  posix_fadvise(descriptor(), 0, 0, POSIX_FADV_DONTNEED);
}

Result<uint64_t> LinuxFile::current_size() const {
  struct stat status {};
  if (fstat(descriptor(), &status) != 0) {
    return fail(ErrorCode::kMachine, "{}: cannot ask for its size: {}", info_.path,
                error_text(errno));
  }
  return static_cast<uint64_t>(status.st_size);
}

}  // namespace spillway::platform

// The queue by io_uring: reads go to the kernel at once and come back in the order in which they
// finish.
#include <liburing.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "base/check.h"
#include "base/units.h"
#include "platform/linux/error_text.h"
#include "platform/linux/file.h"
#include "platform/linux/page_cache.h"
#include "platform/read_request.h"

namespace spillway::platform {
namespace {

// Of one attempt; a longer read is several. A multiple of any alignment, and fits io_uring's 32
// bit.
constexpr size_t kMaxAttemptBytes = 1 * kGiB;

class UringQueue : public ReadQueue {
 public:
  UringQueue(const LinuxFile& file, unsigned depth) : file_(file), reads_(depth) {
    for (size_t slot = depth; slot-- > 0;) free_.push_back(slot);
  }
  ~UringQueue() override {
    if (!open_) return;
    // The kernel writes to the targets until each read is done; closing the ring would not wait.
    while (in_flight() > 0 && wait()) continue;
    io_uring_queue_exit(&ring_);
  }
  UringQueue(const UringQueue&) = delete;
  UringQueue& operator=(const UringQueue&) = delete;

  Result<void> start() {
    const int error = io_uring_queue_init(depth(), &ring_, 0);
    if (error != 0) return refused(-error);
    open_ = true;
    if (!reads_supported()) return refused(ENOSYS);
    // Saves the kernel a look-up per read. It works without, too.
    const int descriptor = file_.descriptor();
    registered_ = io_uring_register_files(&ring_, &descriptor, 1) == 0;
    return {};
  }

  unsigned depth() const override { return static_cast<unsigned>(reads_.size()); }
  unsigned in_flight() const override {
    return static_cast<unsigned>(reads_.size() - free_.size());
  }
  std::string_view method() const override { return "io_uring"; }

  Result<void> submit(const ReadRequest& request) override {
    SPILLWAY_CHECK(!free_.empty());
    check_request(file_.info(), request);
    const size_t slot = free_.back();
    Read& read = reads_[slot];
    read = {.request = request, .position = 0, .guard = std::nullopt};
    if (file_.drops_pages()) {
      read.guard.emplace(file_.descriptor(), request.offset, request.target.size());
    }
    SPILLWAY_TRY(attempt(slot));
    free_.pop_back();
    return {};
  }

  Result<ReadCompletion> wait() override {
    SPILLWAY_CHECK(in_flight() > 0);
    for (;;) {
      io_uring_cqe* entry = nullptr;
      const int error = io_uring_wait_cqe(&ring_, &entry);
      if (error == -EINTR) continue;
      if (error != 0) return ring_error(-error);
      if (auto completion = take(entry)) return *std::move(completion);
    }
  }

  Result<std::optional<ReadCompletion>> poll() override {
    for (;;) {
      io_uring_cqe* entry = nullptr;
      const int error = io_uring_peek_cqe(&ring_, &entry);
      if (error == -EAGAIN) return std::nullopt;
      if (error == -EINTR) continue;
      if (error != 0) return ring_error(-error);
      if (auto completion = take(entry)) return completion;
    }
  }

 private:
  struct Read {
    ReadRequest request;
    size_t position = 0;  // where the attempt that is in flight began
    std::optional<CacheGuard> guard;
  };

  bool reads_supported() {
    io_uring_probe* probe = io_uring_get_probe_ring(&ring_);
    const bool supported = probe != nullptr && io_uring_opcode_supported(probe, IORING_OP_READ);
    io_uring_free_probe(probe);
    return supported;
  }

  // Nothing if the read goes on with another attempt.
  std::optional<ReadCompletion> take(io_uring_cqe* entry) {
    const auto slot = static_cast<size_t>(io_uring_cqe_get_data64(entry));
    const int result = entry->res;
    io_uring_cqe_seen(&ring_, entry);
    auto bytes = advance(slot, result);
    if (!bytes) return std::nullopt;
    const Read& read = reads_[slot];
    if (read.guard) read.guard->forget_new_pages();
    free_.push_back(slot);
    return ReadCompletion{read.request.id, std::move(*bytes)};
  }

  // What came of an attempt: the read's result, or nothing if another attempt is in flight.
  std::optional<Result<size_t>> advance(size_t slot, int result) {
    Read& read = reads_[slot];
    if (result < 0 && result != -EINTR && result != -EAGAIN) {
      return file_.read_error(read.request, -result);
    }
    if (result >= 0) {
      const auto bytes = static_cast<size_t>(result);
      const auto next = file_.next_position(read.request, read.position, bytes);
      if (!next) return Result<size_t>(read.position + bytes);
      read.position = *next;
    }
    if (auto again = attempt(slot); !again) return tl::make_unexpected(again.error());
    return std::nullopt;
  }

  Result<void> attempt(size_t slot) {
    if (broken_ != 0) return ring_error(broken_);
    const Read& read = reads_[slot];
    const std::span<std::byte> left = read.request.target.subspan(read.position);
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    SPILLWAY_CHECK(entry != nullptr);  // the ring has an entry per slot
    io_uring_prep_read(entry, registered_ ? 0 : file_.descriptor(), left.data(),
                       static_cast<unsigned>(std::min(left.size(), kMaxAttemptBytes)),
                       read.request.offset + read.position);
    if (registered_) io_uring_sqe_set_flags(entry, IOSQE_FIXED_FILE);
    io_uring_sqe_set_data64(entry, slot);
    int submitted = io_uring_submit(&ring_);
    while (submitted == -EINTR || submitted == -EAGAIN) submitted = io_uring_submit(&ring_);
    if (submitted == 1) return {};
    // The entry stays in the ring and would go out with the next one, when nobody waits for it.
    broken_ = submitted < 0 ? -submitted : EIO;
    return ring_error(broken_);
  }

  tl::unexpected<Error> refused(int error) const {
    return fail(ErrorCode::kMachine, "the system refuses io_uring: {}", error_text(error));
  }
  tl::unexpected<Error> ring_error(int error) const {
    return fail(ErrorCode::kMachine, "{}: reading by io_uring failed: {}", file_.info().path,
                error_text(error));
  }

  const LinuxFile& file_;
  io_uring ring_{};
  bool open_ = false;
  bool registered_ = false;
  int broken_ = 0;  // the error after which the ring takes no more reads
  std::vector<Read> reads_;
  std::vector<size_t> free_;  // slots of reads_
};

}  // namespace

Result<std::unique_ptr<ReadQueue>> open_uring_queue(const LinuxFile& file, unsigned depth) {
  auto queue = std::make_unique<UringQueue>(file, depth);
  SPILLWAY_TRY(queue->start());
  return queue;
}

}  // namespace spillway::platform

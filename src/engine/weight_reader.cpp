#include "engine/weight_reader.h"

#include <algorithm>
#include <utility>

#include "base/units.h"

namespace spillway::engine {
namespace {

constexpr size_t kReadBytes = kMiB;
constexpr unsigned kReadDepth = 8;
constexpr size_t kPiecesAhead = 64;  // that the system reads into the page cache meanwhile

}  // namespace

Result<std::unique_ptr<WeightReader>> WeightReader::start(const platform::File& file,
                                                          std::span<std::byte> target,
                                                          std::span<const Stretch> stretches) {
  SPILLWAY_ASSIGN(auto queue, file.open_queue(kReadDepth));
  std::unique_ptr<WeightReader> reader(new WeightReader(file, stretches));
  reader->target_ = target;
  reader->queue_ = std::move(queue);
  reader->begin(&WeightReader::read_all);
  return reader;
}

std::unique_ptr<WeightReader> WeightReader::start(const platform::File& file,
                                                  const platform::FileMapping& mapping,
                                                  std::span<const Stretch> stretches) {
  std::unique_ptr<WeightReader> reader(new WeightReader(file, stretches));
  reader->mapping_ = &mapping;
  reader->begin(&WeightReader::bring_all);
  return reader;
}

WeightReader::WeightReader(const platform::File& file, std::span<const Stretch> stretches)
    : file_(file) {
  for (const Stretch& stretch : stretches) {
    for (uint64_t at = stretch.begin; at < stretch.end; at += kReadBytes) {
      const size_t size = std::min<uint64_t>(kReadBytes, stretch.end - at);
      pieces_.push_back({at, size, stretch.place + (at - stretch.begin)});
      total_ += wanted(pieces_.back());
    }
  }
}

WeightReader::~WeightReader() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  thread_.join();
}

Result<void> WeightReader::await(size_t end, const Progress& progress) {
  std::unique_lock lock(mutex_);
  while (true) {
    if (error_) return tl::make_unexpected(*error_);
    const uint64_t bytes_read = bytes_read_;
    const bool come = come_ >= end;
    if (progress) {
      lock.unlock();
      if (!progress(bytes_read, total_))
        return fail(ErrorCode::kInterrupted, "interrupted while loading");
      lock.lock();
    }
    if (come) return {};
    changed_.wait(lock, [&] { return error_ || bytes_read_ != bytes_read; });
  }
}

void WeightReader::begin(Result<void> (WeightReader::*all)()) {
  thread_ = std::thread([this, all] {
    auto done = (this->*all)();
    const std::lock_guard lock(mutex_);
    if (!done) error_ = std::move(done).error();
    changed_.notify_all();
  });
}

Result<void> WeightReader::read_all() {
  std::vector<bool> come(pieces_.size());
  size_t next = 0;
  size_t first_missing = 0;
  size_t end = 0;  // of what has come without a gap
  while (first_missing < pieces_.size()) {
    while (next < pieces_.size() && queue_->in_flight() < queue_->depth()) {
      const Piece& piece = pieces_[next];
      SPILLWAY_TRY(queue_->submit({piece.offset, target_.subspan(piece.place, piece.size), next}));
      ++next;
    }
    SPILLWAY_ASSIGN(const platform::ReadCompletion completion, queue_->wait());
    SPILLWAY_TRY(check(completion));
    come[completion.id] = true;
    for (; first_missing < pieces_.size() && come[first_missing]; ++first_missing)
      end = pieces_[first_missing].place + pieces_[first_missing].size;
    if (!publish(end, *completion.bytes)) break;
  }
  return {};
}

Result<void> WeightReader::bring_all() {
  size_t ahead = 0;
  for (size_t i = 0; i < pieces_.size(); ++i) {
    for (; ahead < std::min(pieces_.size(), i + kPiecesAhead); ++ahead)
      mapping_->read_ahead(pieces_[ahead].offset, wanted(pieces_[ahead]));
    const Piece& piece = pieces_[i];
    const auto brought = mapping_->bring(piece.offset, wanted(piece));
    if (!brought || i + 1 == pieces_.size()) {  // a page that ends early has zeros behind its end
      SPILLWAY_ASSIGN(const uint64_t size, file_.current_size());
      if (size < file_.info().size_bytes) return truncated(size);
    }
    SPILLWAY_TRY(brought);
    if (!publish(piece.place + piece.size, wanted(piece))) break;
  }
  return {};
}

bool WeightReader::publish(size_t come, uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  come_ = come;
  bytes_read_ += bytes;
  changed_.notify_all();
  return !stop_;
}

// Bytes of a piece that the file has: its last page is not whole.
uint64_t WeightReader::wanted(const Piece& piece) const {
  return std::min<uint64_t>(piece.size, file_.info().size_bytes - piece.offset);
}

Result<void> WeightReader::check(const platform::ReadCompletion& completion) const {
  if (!completion.bytes) return fail_within(file_.info().path, completion.bytes.error());
  const Piece& piece = pieces_[completion.id];
  if (*completion.bytes < wanted(piece)) return truncated(piece.offset + *completion.bytes);
  return {};
}

tl::unexpected<Error> WeightReader::truncated(uint64_t size) const {
  const platform::FileInfo& info = file_.info();
  return fail(ErrorCode::kBadFile,
              "{}: the file ends at {}; it was {} bytes long when it was opened. Was it truncated?",
              info.path, size, info.size_bytes);
}

}  // namespace spillway::engine

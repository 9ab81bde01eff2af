#include "engine/weight_reader.h"

#include <algorithm>
#include <utility>

#include "base/units.h"

namespace spillway::engine {
namespace {

constexpr size_t kReadBytes = kMiB;
constexpr unsigned kReadDepth = 8;

}  // namespace

Result<std::unique_ptr<WeightReader>> WeightReader::start(const platform::File& file,
                                                          std::span<std::byte> target,
                                                          std::span<const Stretch> stretches) {
  SPILLWAY_ASSIGN(auto queue, file.open_queue(kReadDepth));
  std::unique_ptr<WeightReader> reader(new WeightReader(file, std::move(queue)));
  for (const Stretch& stretch : stretches) {
    for (uint64_t at = stretch.begin; at < stretch.end; at += kReadBytes) {
      const size_t size = std::min<uint64_t>(kReadBytes, stretch.end - at);
      const size_t place = stretch.place + (at - stretch.begin);
      reader->pieces_.push_back({at, target.subspan(place, size)});
      reader->ends_.push_back(place + size);
      reader->total_ += reader->wanted(reader->pieces_.back());
    }
  }
  reader->thread_ = std::thread(&WeightReader::run, reader.get());
  return reader;
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

void WeightReader::run() {
  auto done = read_all();
  const std::lock_guard lock(mutex_);
  if (!done) error_ = std::move(done).error();
  changed_.notify_all();
}

Result<void> WeightReader::read_all() {
  std::vector<bool> come(pieces_.size());
  size_t next = 0;
  size_t first_missing = 0;
  while (first_missing < pieces_.size()) {
    while (next < pieces_.size() && queue_->in_flight() < queue_->depth()) {
      SPILLWAY_TRY(queue_->submit({pieces_[next].offset, pieces_[next].target, next}));
      ++next;
    }
    SPILLWAY_ASSIGN(const platform::ReadCompletion completion, queue_->wait());
    SPILLWAY_TRY(check(completion));
    come[completion.id] = true;
    while (first_missing < pieces_.size() && come[first_missing]) ++first_missing;
    if (!publish(first_missing == 0 ? 0 : ends_[first_missing - 1], *completion.bytes)) break;
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
  return std::min<uint64_t>(piece.target.size(), file_.info().size_bytes - piece.offset);
}

Result<void> WeightReader::check(const platform::ReadCompletion& completion) const {
  const platform::FileInfo& info = file_.info();
  if (!completion.bytes) return fail_within(info.path, completion.bytes.error());
  const Piece& piece = pieces_[completion.id];
  if (*completion.bytes < wanted(piece)) {
    return fail(
        ErrorCode::kBadFile,
        "{}: the file ends at {}; it was {} bytes long when it was opened. Was it truncated?",
        info.path, piece.offset + *completion.bytes, info.size_bytes);
  }
  return {};
}

}  // namespace spillway::engine

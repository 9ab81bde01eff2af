#include "engine/stretch_source.h"

#include <algorithm>
#include <utility>

#include "base/units.h"

namespace spillway::engine {
namespace {

constexpr size_t kReadBytes = kMiB;
constexpr unsigned kReadDepth = 8;
constexpr size_t kPiecesAhead = 64;  // that the system reads into the page cache meanwhile

class Reads final : public StretchSource {
 public:
  Reads(const platform::File& file, std::unique_ptr<platform::ReadQueue> queue,
        std::span<std::byte> target, std::span<const Stretch> stretches)
      : StretchSource(file, stretches), queue_(std::move(queue)), target_(target) {}

  Result<void> bring_all(const Came& came) override {
    std::vector<bool> is_there(pieces_.size());
    size_t next = 0;
    size_t first_missing = 0;
    size_t end = 0;  // of what has come without a gap
    while (first_missing < pieces_.size()) {
      while (next < pieces_.size() && queue_->in_flight() < queue_->depth()) {
        const Piece& piece = pieces_[next];
        SPILLWAY_TRY(
            queue_->submit({piece.offset, target_.subspan(piece.place, piece.size), next}));
        ++next;
      }
      SPILLWAY_ASSIGN(const platform::ReadCompletion completion, queue_->wait());
      SPILLWAY_TRY(check(completion));
      is_there[completion.id] = true;
      for (; first_missing < pieces_.size() && is_there[first_missing]; ++first_missing)
        end = pieces_[first_missing].end();
      if (!came(end, *completion.bytes)) break;
    }
    return {};
  }

 private:
  Result<void> check(const platform::ReadCompletion& completion) const {
    if (!completion.bytes) return fail_within(file_.info().path, completion.bytes.error());
    const Piece& piece = pieces_[completion.id];
    if (*completion.bytes < wanted(piece)) return truncated(piece.offset + *completion.bytes);
    return {};
  }

  std::unique_ptr<platform::ReadQueue> queue_;
  std::span<std::byte> target_;
};

class PageCache final : public StretchSource {
 public:
  PageCache(const platform::File& file, const platform::FileMapping& mapping,
            std::span<const Stretch> stretches)
      : StretchSource(file, stretches), mapping_(mapping) {}

  Result<void> bring_all(const Came& came) override {
    size_t ahead = 0;
    for (size_t i = 0; i < pieces_.size(); ++i) {
      for (; ahead < std::min(pieces_.size(), i + kPiecesAhead); ++ahead)
        mapping_.read_ahead(pieces_[ahead].offset, wanted(pieces_[ahead]));
      const Piece& piece = pieces_[i];
      const auto brought = mapping_.bring(piece.offset, wanted(piece));
      if (!brought || i + 1 == pieces_.size()) {  // a page that ends early has zeros behind its end
        SPILLWAY_ASSIGN(const uint64_t size, file_.current_size());
        if (size < file_.info().size_bytes) return truncated(size);
      }
      SPILLWAY_TRY(brought);
      if (!came(piece.end(), wanted(piece))) break;
    }
    return {};
  }

 private:
  const platform::FileMapping& mapping_;
};

}  // namespace

Result<std::unique_ptr<StretchSource>> StretchSource::reads(const platform::File& file,
                                                            std::span<std::byte> target,
                                                            std::span<const Stretch> stretches) {
  SPILLWAY_ASSIGN(auto queue, file.open_queue(kReadDepth));
  return std::make_unique<Reads>(file, std::move(queue), target, stretches);
}

std::unique_ptr<StretchSource> StretchSource::page_cache(const platform::File& file,
                                                         const platform::FileMapping& mapping,
                                                         std::span<const Stretch> stretches) {
  return std::make_unique<PageCache>(file, mapping, stretches);
}

StretchSource::StretchSource(const platform::File& file, std::span<const Stretch> stretches)
    : file_(file) {
  for (const Stretch& stretch : stretches) {
    for (uint64_t at = stretch.begin; at < stretch.end; at += kReadBytes) {
      const size_t size = std::min<uint64_t>(kReadBytes, stretch.end - at);
      pieces_.push_back({at, size, stretch.place + (at - stretch.begin)});
      total_ += wanted(pieces_.back());
    }
  }
}

// Bytes of a piece that the file has: its last page is not whole.
uint64_t StretchSource::wanted(const Piece& piece) const {
  return std::min<uint64_t>(piece.size, file_.info().size_bytes - piece.offset);
}

tl::unexpected<Error> StretchSource::truncated(uint64_t size) const {
  const platform::FileInfo& info = file_.info();
  return fail(ErrorCode::kBadFile,
              "{}: the file ends at {}; it was {} bytes long when it was opened. Was it truncated?",
              info.path, size, info.size_bytes);
}

}  // namespace spillway::engine

#include "platform/joined_file.h"

#include <algorithm>
#include <deque>
#include <map>

#include "base/check.h"
#include "base/units.h"

namespace spillway::platform {
namespace {

// No read that somebody plans reaches over such a gap.
constexpr uint64_t kGap = 16 * kMiB;

struct Part {
  std::unique_ptr<File> file;
  uint64_t begin = 0;

  uint64_t size() const { return file->info().size_bytes; }
  uint64_t end() const { return begin + size(); }
};

// The part that `offset` lies in, or behind.
size_t part_at(const std::vector<Part>& parts, uint64_t offset) {
  const auto next = std::ranges::upper_bound(parts, offset, {}, &Part::begin);
  return static_cast<size_t>(next - parts.begin()) - 1;
}

// One queue for each part that has reads in flight.
class JoinedQueue final : public ReadQueue {
 public:
  JoinedQueue(const std::vector<Part>& parts, std::unique_ptr<ReadQueue> first)
      : parts_(parts), depth_(first->depth()), method_(first->method()) {
    queues_.emplace(0, std::move(first));
  }

  unsigned depth() const override { return depth_; }
  unsigned in_flight() const override { return static_cast<unsigned>(submitted_.size()); }
  std::string_view method() const override { return method_; }

  Result<void> submit(const ReadRequest& request) override {
    const size_t part = part_at(parts_, request.offset);
    SPILLWAY_CHECK(part + 1 == parts_.size() ||
                   request.offset + request.target.size() <= parts_[part + 1].begin);
    SPILLWAY_ASSIGN(ReadQueue * queue, queue_of(part));
    ReadRequest local = request;
    local.offset -= parts_[part].begin;
    SPILLWAY_TRY(queue->submit(local));
    submitted_.push_back({part, local});
    return {};
  }

  // Of the part that was asked first.
  Result<ReadCompletion> wait() override {
    SPILLWAY_CHECK(!submitted_.empty());
    const size_t part = submitted_.front().part;
    SPILLWAY_ASSIGN(ReadCompletion completion, queues_.at(part)->wait());
    return finished(part, std::move(completion));
  }

  Result<std::optional<ReadCompletion>> poll() override {
    for (auto& [part, queue] : queues_) {
      SPILLWAY_ASSIGN(auto completion, queue->poll());
      if (completion) return finished(part, *std::move(completion));
    }
    return std::nullopt;
  }

 private:
  struct Submitted {
    size_t part;
    ReadRequest request;
  };

  ReadCompletion finished(size_t part, ReadCompletion completion) {
    const auto done = std::ranges::find_if(submitted_, [&](const Submitted& s) {
      return s.part == part && s.request.id == completion.id;
    });
    SPILLWAY_CHECK(done != submitted_.end());
    const ReadRequest request = done->request;
    submitted_.erase(done);
    if (completion.bytes) completion.bytes = with_gap(part, request, *completion.bytes);
    return completion;
  }

  // A pass goes from part to part: those that are idle give way to the next.
  Result<ReadQueue*> queue_of(size_t part) {
    if (const auto found = queues_.find(part); found != queues_.end()) return found->second.get();
    std::erase_if(queues_, [](const auto& entry) { return entry.second->in_flight() == 0; });
    SPILLWAY_ASSIGN(auto queue, parts_[part].file->open_queue(depth_));
    return queues_.emplace(part, std::move(queue)).first->second.get();
  }

  // Behind all of a part that is not the last there are zeros.
  size_t with_gap(size_t part, const ReadRequest& request, size_t bytes) const {
    const bool whole = request.offset + bytes >= parts_[part].size();
    if (part + 1 == parts_.size() || !whole) return bytes;
    std::ranges::fill(request.target.subspan(bytes), std::byte{0});
    return request.target.size();
  }

  const std::vector<Part>& parts_;
  unsigned depth_;
  std::string_view method_;
  std::map<size_t, std::unique_ptr<ReadQueue>> queues_;
  std::deque<Submitted> submitted_;  // in flight, oldest first
};

class Joined final : public File {
 public:
  Joined(const std::string& path, std::vector<Part> parts) : parts_(std::move(parts)) {
    info_ = parts_.front().file->info();
    info_.path = path;
    info_.size_bytes = parts_.back().end();
    for (const Part& part : parts_) {
      const FileInfo& info = part.file->info();
      info_.offset_alignment = std::max(info_.offset_alignment, info.offset_alignment);
      info_.memory_alignment = std::max(info_.memory_alignment, info.memory_alignment);
      info_.direct = info_.direct && info.direct;
    }
  }

  const FileInfo& info() const override { return info_; }

  Result<size_t> read(uint64_t offset, std::span<std::byte> target) const override {
    size_t done = 0;
    while (done < target.size() && offset + done < info_.size_bytes) {
      const uint64_t at = offset + done;
      const size_t index = part_at(parts_, at);
      const Part& part = parts_[index];
      const auto rest = target.subspan(done);
      if (at >= part.end()) {
        const auto gap = rest.first(std::min<uint64_t>(rest.size(), parts_[index + 1].begin - at));
        std::ranges::fill(gap, std::byte{0});
        done += gap.size();
        continue;
      }
      const auto piece = rest.first(std::min<uint64_t>(rest.size(), part.end() - at));
      SPILLWAY_ASSIGN(const size_t read, part.file->read(at - part.begin, piece));
      done += read;
      if (read < piece.size()) break;  // it got shorter
    }
    return done;
  }

  Result<std::unique_ptr<ReadQueue>> open_queue(unsigned depth) const override {
    SPILLWAY_ASSIGN(auto first, parts_.front().file->open_queue(depth));
    return std::make_unique<JoinedQueue>(parts_, std::move(first));
  }

  Result<std::unique_ptr<FileMapping>> map() const override {
    return fail(ErrorCode::kMachine, "{}: {} files cannot be mapped as one", info_.path,
                parts_.size());
  }
  uint64_t cached_bytes() const override { return 0; }
  void drop_cache() const override {
    for (const Part& part : parts_) part.file->drop_cache();
  }
  Result<uint64_t> current_size() const override {
    for (const Part& part : parts_) {
      SPILLWAY_ASSIGN(const uint64_t size, part.file->current_size());
      if (size < part.size()) return part.begin + size;
    }
    return info_.size_bytes;
  }

 private:
  std::vector<Part> parts_;
  FileInfo info_;
};

}  // namespace

JoinedFile join_files(const std::string& path, std::vector<std::unique_ptr<File>> parts) {
  SPILLWAY_CHECK(!parts.empty());
  if (parts.size() == 1) return {std::move(parts.front()), {0}};
  std::vector<Part> placed;
  std::vector<uint64_t> offsets;
  uint64_t next = 0;
  for (std::unique_ptr<File>& file : parts) {
    placed.push_back({std::move(file), next});
    offsets.push_back(next);
    next = round_up(placed.back().end(), kGap) + kGap;
  }
  return {std::make_unique<Joined>(path, std::move(placed)), std::move(offsets)};
}

}  // namespace spillway::platform

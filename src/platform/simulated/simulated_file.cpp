#include "platform/simulated/simulated_file.h"

#include <algorithm>

#include "base/check.h"
#include "base/units.h"

namespace spillway::platform {
namespace {

// Of `size` bytes asked for at `offset`, those that a content of `content_size` has.
size_t clamp(uint64_t content_size, uint64_t offset, size_t size) {
  return offset >= content_size ? 0 : std::min<size_t>(size, content_size - offset);
}

class SimulatedMapping : public FileMapping {
 public:
  SimulatedMapping(MachineState& state, StoredFile& stored, const FileInfo& info)
      : state_(state), stored_(stored), info_(info), content_(stored.content) {}
  std::span<const std::byte> bytes() const override { return {content_->data(), info_.size_bytes}; }
  void forget(size_t, size_t) const override {}
  void read_ahead(size_t, size_t) const override {}
  Result<void> bring(size_t offset, size_t size) const override {
    const std::lock_guard lock(state_.mutex);
    SPILLWAY_TRY(state_.faults.pass(Operation::kRead));
    if (round_up(stored_.content->size(), state_.machine.page_bytes) < offset + size) {
      return fail(ErrorCode::kMachine,
                  "{}: cannot read {} bytes at {}: the disk failed, or the file was truncated",
                  info_.path, size, offset);
    }
    const uint64_t transfer = state_.disk.start(size - stored_.cached.count(offset, offset + size));
    while (!state_.disk.finished_at(transfer)) state_.disk.step();
    state_.disk.forget(transfer);
    state_.cache(stored_, offset, offset + size);
    return {};
  }

 private:
  MachineState& state_;
  StoredFile& stored_;
  const FileInfo info_;
  std::shared_ptr<const std::vector<std::byte>> content_;  // shared with the file, see StoredFile
};

}  // namespace

Result<size_t> SimulatedFile::read(uint64_t offset, std::span<std::byte> target) const {
  const std::lock_guard lock(state_.mutex);
  SPILLWAY_TRY(state_.faults.pass(Operation::kRead));
  const uint64_t transfer = start_transfer(offset, target.size());
  while (!state_.disk.finished_at(transfer)) state_.disk.step();
  state_.disk.forget(transfer);
  return take(offset, target);
}

uint64_t SimulatedFile::start_transfer(uint64_t offset, size_t size) const {
  const size_t here = clamp(stored_.content->size(), offset, size);
  const uint64_t cached = info_.direct ? 0 : stored_.cached.count(offset, offset + here);
  return state_.disk.start(here - cached);
}

size_t SimulatedFile::take(uint64_t offset, std::span<std::byte> target) const {
  const size_t here = clamp(stored_.content->size(), offset, target.size());
  if (here == 0) return 0;
  std::copy_n(stored_.content->data() + offset, here, target.data());
  if (options_.caching == Caching::kUse) state_.cache(stored_, offset, offset + here);
  return here;
}

Result<std::unique_ptr<ReadQueue>> SimulatedFile::open_queue(unsigned depth) const {
  return make_simulated_queue(state_, *this, depth);
}

Result<std::unique_ptr<FileMapping>> SimulatedFile::map() const {
  const std::lock_guard lock(state_.mutex);
  SPILLWAY_TRY(state_.faults.pass(Operation::kMap));
  if (stored_.content->size() < info_.size_bytes) {
    return fail(ErrorCode::kBadFile,
                "{}: the file got shorter while it was open: {} bytes, were {}", info_.path,
                stored_.content->size(), info_.size_bytes);
  }
  return std::make_unique<SimulatedMapping>(state_, stored_, info_);
}

uint64_t SimulatedFile::cached_bytes() const {
  const std::lock_guard lock(state_.mutex);
  return stored_.cached.size();
}

void SimulatedFile::drop_cache() const {
  const std::lock_guard lock(state_.mutex);
  stored_.cached = RangeSet();
}

Result<uint64_t> SimulatedFile::current_size() const {
  const std::lock_guard lock(state_.mutex);
  return stored_.content->size();
}

Result<std::unique_ptr<File>> open_simulated(MachineState& state, const std::string& path,
                                             OpenOptions options) {
  const std::lock_guard lock(state.mutex);
  SPILLWAY_TRY(state.faults.pass(Operation::kOpen));
  const auto found = state.files.find(path);
  if (found == state.files.end()) {
    return fail(ErrorCode::kBadFile, "{}: there is no such file on the simulated machine", path);
  }
  FileInfo info{.path = path, .size_bytes = found->second.content->size(), .device = 1};
  if (options.caching == Caching::kAvoid && !state.machine.refuse_direct) {
    info.direct = true;
    info.offset_alignment = state.machine.offset_alignment;
    info.memory_alignment = state.machine.memory_alignment;
  }
  return std::make_unique<SimulatedFile>(state, found->second, std::move(info), options);
}

}  // namespace spillway::platform

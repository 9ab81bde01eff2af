#include "machine/disk_load.h"

#include <algorithm>

#include "base/units.h"

namespace spillway::machine {

Result<std::unique_ptr<DiskLoad>> DiskLoad::create(platform::Platform& platform,
                                                   memory::Budget& budget,
                                                   const platform::File& file, const Sweep& reads) {
  const platform::FileInfo& info = file.info();
  const size_t block =
      round_up(reads.block_bytes, std::max(info.offset_alignment, info.memory_alignment));
  if (info.size_bytes < block)
    return fail(ErrorCode::kBadFile, "{}: {} bytes are less than a read of {}", info.path,
                info.size_bytes, block);
  std::unique_ptr<DiskLoad> load(new DiskLoad(info, block));
  SPILLWAY_ASSIGN(load->buffer_, memory::HostRegion::create(platform, budget, memory::Tag::kStaging,
                                                            "disk load", reads.depth * block));
  SPILLWAY_TRY(load->buffer_->make_resident(0, reads.depth * block));
  SPILLWAY_ASSIGN(load->queue_, file.open_queue(reads.depth));
  for (uint64_t slot = 0; slot < reads.depth; ++slot) SPILLWAY_TRY(load->read_into(slot));
  return load;
}

Result<void> DiskLoad::read_into(uint64_t slot) {
  if (next_ + block_bytes_ > file_.size_bytes) next_ = 0;
  SPILLWAY_TRY(
      queue_->submit({next_, buffer_->bytes().subspan(slot * block_bytes_, block_bytes_), slot}));
  next_ += block_bytes_;
  return {};
}

Result<void> DiskLoad::step() {
  for (;;) {
    SPILLWAY_ASSIGN(auto done, queue_->poll());
    if (!done) return {};
    if (!done->bytes) return fail_within(file_.path, done->bytes.error());
    bytes_read_ += *done->bytes;
    SPILLWAY_TRY(read_into(done->id));
  }
}

}  // namespace spillway::machine

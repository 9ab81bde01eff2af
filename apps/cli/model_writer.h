// What quantize and convert do alike: the budget and the buffers within it, room on the disk, what
// is said on the way. One thread.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/thread_pool.h"
#include "cli/options.h"
#include "engine/folder_draft.h"
#include "engine/gguf_draft.h"
#include "memory/host_region.h"
#include "platform/platform.h"

namespace spillway::cli {

struct WriterOptions : HostOptions {
  bool force = false;

  void add_to(Command& command);
};

class ModelWriter {
 public:
  // kUsage: `out` is there already, and --force is not given; kBudget: the process itself takes
  // more.
  static Result<ModelWriter> create(platform::Platform& platform, const WriterOptions& options,
                                    const std::string& out);

  // Charges what is kept of headers.
  Result<void> charge_headers(uint64_t bytes);
  // kMachine: the disk has not that much left.
  Result<void> check_room(uint64_t bytes) const;
  Result<engine::TensorCopier> copier(std::span<const engine::TensorCopy> tensors);
  // Into `out`, complete or not at all.
  Result<void> write(const engine::GgufDraft& draft);
  // kUsage: `out` is there, --force or not.
  Result<void> write(const engine::FolderDraft& draft);
  const std::atomic<bool>& stop() const { return *stop_; }
  uint64_t header_limit() const;  // what reading a header may keep
  uint64_t peak_bytes() const { return budget_->usage().peak_bytes; }

 private:
  ModelWriter() = default;
  Result<void> write_shard(const engine::FolderDraft::Shard& shard, engine::TensorCopier& rows,
                           const std::string& folder) const;
  // Says which tensor comes, and whether to go on.
  bool tell(const engine::TensorCopy& tensor, size_t i, size_t of) const;

  platform::Platform* platform_ = nullptr;
  std::string out_;
  std::unique_ptr<memory::Budget> budget_;
  memory::Reservation program_;
  memory::Reservation headers_;
  std::unique_ptr<ThreadPool> pool_;
  const std::atomic<bool>* stop_ = nullptr;
};

}  // namespace spillway::cli

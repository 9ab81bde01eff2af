#include "cli/model_writer.h"

#include <fmt/format.h>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <utility>
#include <vector>

#include "base/units.h"
#include "engine/workload.h"
#include "formats/safetensors_writer.h"
#include "platform/linux/linux_platform.h"

namespace spillway::cli {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kThreadBytes = 64 * kKiB;
// A header may take this share of what the budget has left for it and its copy.
constexpr uint64_t kHeaderShare = 4;
constexpr uint64_t kMostHeader = 512 * kMiB;

// A folder in the making, which goes with the object unless it was put into its place.
class DraftFolder {
 public:
  explicit DraftFolder(std::string out)
      : out_(std::move(out)), path_(fmt::format("{}.draft", out_)) {}
  ~DraftFolder() {
    std::error_code ignored;
    if (made_) fs::remove_all(path_, ignored);
  }
  DraftFolder(const DraftFolder&) = delete;
  DraftFolder& operator=(const DraftFolder&) = delete;

  const std::string& path() const { return path_; }

  Result<void> make() {
    std::error_code error;
    made_ = fs::create_directory(path_, error);
    if (made_) return {};
    return fail(ErrorCode::kUsage, "{}: cannot be created: {}", path_,
                error ? error.message() : "it is there; another run makes it, or was killed");
  }
  Result<void> commit() {
    std::error_code error;
    fs::rename(path_, out_, error);
    if (error) return fail(ErrorCode::kMachine, "{}: {}", out_, error.message());
    made_ = false;
    return {};
  }

 private:
  std::string out_;
  std::string path_;
  bool made_ = false;
};

Result<void> write_text(platform::Platform& platform, const std::string& path,
                        const std::string& content) {
  SPILLWAY_ASSIGN(const auto file, platform.replace(path));
  SPILLWAY_TRY(file->write(std::as_bytes(std::span(content))));
  return file->commit();
}

}  // namespace

void WriterOptions::add_to(Command& command) {
  HostOptions::add_to(command);
  command.add_flag("--force", force, "replace what is at OUT");
}

Result<ModelWriter> ModelWriter::create(platform::Platform& platform, const WriterOptions& options,
                                        const std::string& out) {
  std::error_code ignored;
  if (!options.force && fs::exists(out, ignored)) {
    return fail(ErrorCode::kUsage, "{}: it is there already; give --force to replace it", out);
  }
  ModelWriter writer;
  writer.platform_ = &platform;
  writer.out_ = out;
  SPILLWAY_ASSIGN(const uint64_t limit, options.budget_bytes(platform));
  writer.budget_ = std::make_unique<memory::Budget>(memory::Tier::kHost, limit);
  const unsigned threads = options.thread_count(platform);
  SPILLWAY_ASSIGN(writer.program_,
                  writer.budget_->reserve(engine::kProcessBytes + threads * kThreadBytes,
                                          memory::Tag::kOther, "program"));
  writer.pool_ = std::make_unique<ThreadPool>(threads);
  writer.stop_ = &platform::stop_on_interrupt();
  return writer;
}

uint64_t ModelWriter::header_limit() const {
  return std::min(kMostHeader, budget_->free_bytes() / kHeaderShare);
}

Result<void> ModelWriter::charge_headers(uint64_t bytes) {
  SPILLWAY_ASSIGN(headers_, budget_->reserve(bytes, memory::Tag::kVocabulary, "headers"));
  return {};
}

Result<void> ModelWriter::check_room(uint64_t bytes) const {
  std::error_code error;
  const fs::path folder = fs::path(out_).parent_path();
  const fs::space_info space = fs::space(folder.empty() ? "." : folder, error);
  if (error || space.available >= bytes) return {};  // an unknown folder fails when it is used
  return fail(ErrorCode::kMachine, "{}: it takes {}, and {} are free on its disk", out_,
              format_size(bytes), format_size(space.available));
}

Result<engine::TensorCopier> ModelWriter::copier(std::span<const engine::TensorCopy> tensors) {
  return engine::TensorCopier::create(*platform_, *budget_, *pool_, tensors);
}

bool ModelWriter::tell(const engine::TensorCopy& tensor, size_t i, size_t of) const {
  const std::string_view from = dtype_info(tensor.source.dtype).name;
  const std::string_view to = dtype_info(tensor.dtype).name;
  const std::string line =
      fmt::format("[{:>4}/{:>4}] {:<36} {:>16} {:>5}{}", i + 1, of, tensor.source.name,
                  fmt::format("[{}]", fmt::join(tensor.source.dimensions, ", ")), from,
                  from == to ? "" : fmt::format(" → {}", to));
  std::fprintf(stderr, "%s\n", line.c_str());
  return !stop_->load(std::memory_order_relaxed);
}

Result<void> ModelWriter::write(const engine::GgufDraft& draft) {
  SPILLWAY_TRY(check_room(draft.header.file_bytes()));
  SPILLWAY_ASSIGN(auto rows, copier(draft.tensors));
  SPILLWAY_ASSIGN(const auto file, platform_->replace(out_));
  const auto sink = [&](std::span<const std::byte> bytes) { return file->write(bytes); };
  const auto progress = [&, told = draft.tensors.size()](size_t i) mutable {
    if (i == std::exchange(told, i)) return !stop_->load(std::memory_order_relaxed);
    return tell(draft.tensors[i], i, draft.tensors.size());
  };
  SPILLWAY_TRY(engine::write_gguf(draft, rows, sink, progress));
  return file->commit();
}

Result<void> ModelWriter::write_shard(const engine::FolderDraft::Shard& shard,
                                      engine::TensorCopier& rows, const std::string& folder) const {
  SPILLWAY_ASSIGN(const auto file, platform_->replace(fmt::format("{}/{}", folder, shard.name)));
  const std::string header = formats::safetensors_header(shard.tensors);
  SPILLWAY_TRY(file->write(std::as_bytes(std::span(header))));
  const auto sink = [&](std::span<const std::byte> bytes) { return file->write(bytes); };
  const auto go_on = [&](uint64_t) { return !stop_->load(std::memory_order_relaxed); };
  for (size_t i = 0; i < shard.copies.size(); ++i) {
    tell(shard.copies[i], i, shard.copies.size());
    SPILLWAY_TRY(rows.copy(shard.copies[i], sink, go_on));
  }
  return file->commit();
}

Result<void> ModelWriter::write(const engine::FolderDraft& draft) {
  std::error_code ignored;
  if (fs::exists(out_, ignored)) {
    return fail(ErrorCode::kUsage, "{}: it is there already; remove it, or name another folder",
                out_);
  }
  SPILLWAY_TRY(check_room(draft.size_bytes()));
  std::vector<engine::TensorCopy> copies;
  for (const engine::FolderDraft::Shard& shard : draft.shards)
    copies.insert(copies.end(), shard.copies.begin(), shard.copies.end());
  SPILLWAY_ASSIGN(auto rows, copier(copies));
  DraftFolder folder(out_);
  SPILLWAY_TRY(folder.make());
  for (const engine::FolderDraft::Text& text : draft.texts)
    SPILLWAY_TRY(
        write_text(*platform_, fmt::format("{}/{}", folder.path(), text.name), text.content));
  for (const engine::FolderDraft::Shard& shard : draft.shards)
    SPILLWAY_TRY(write_shard(shard, rows, folder.path()));
  return folder.commit();
}

}  // namespace spillway::cli

#include "cli/model_writer.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "base/units.h"
#include "cli/options.h"
#include "platform/linux/linux_platform.h"
#include "platform/linux/new_file.h"

namespace spillway::cli {
namespace {

namespace fs = std::filesystem;

// Code, libraries, stacks and what malloc keeps (docs/decisions/process-charge.md).
constexpr uint64_t kProcessBytes = 10 * kMiB;
constexpr uint64_t kThreadBytes = 64 * kKiB;
constexpr double kDefaultShare = 0.9;
constexpr unsigned kMostThreads = 1024;

std::string tensor_line(const engine::GgufDraft& draft, size_t i) {
  const engine::TensorCopy& tensor = draft.tensors[i];
  const std::string_view from = dtype_info(tensor.source.dtype).name;
  const std::string_view to = dtype_info(tensor.dtype).name;
  return fmt::format("[{:>4}/{:>4}] {:<36} {:>16} {:>5}{}", i + 1, draft.tensors.size(),
                     tensor.source.name,
                     fmt::format("[{}]", fmt::join(tensor.source.dimensions, ", ")), from,
                     from == to ? "" : fmt::format(" → {}", to));
}

}  // namespace

void WriterOptions::add_to(CLI::App& command) {
  add_size(command, "--host-budget", host_budget,
           "host memory that this may hold, all told; default 0.9 of what is free");
  command.add_option("--threads,-t", threads, "processors that compute; default all")
      ->check(CLI::Range(1U, kMostThreads));
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
  uint64_t limit = 0;
  if (options.host_budget) {
    limit = *options.host_budget;
  } else {
    SPILLWAY_ASSIGN(const platform::HostMemory memory, platform.host_memory());
    limit = static_cast<uint64_t>(kDefaultShare * static_cast<double>(memory.free_bytes()));
  }
  writer.budget_ = std::make_unique<memory::Budget>(memory::Tier::kHost, limit);
  const unsigned threads =
      options.threads > 0 ? options.threads : std::max(1U, platform.processor().cores);
  SPILLWAY_ASSIGN(writer.program_, writer.budget_->reserve(kProcessBytes + threads * kThreadBytes,
                                                           memory::Tag::kOther, "program"));
  writer.pool_ = std::make_unique<ThreadPool>(threads);
  writer.stop_ = &platform::stop_on_interrupt();
  return writer;
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

Result<void> ModelWriter::write(const engine::GgufDraft& draft) {
  SPILLWAY_TRY(check_room(draft.header.file_bytes()));
  SPILLWAY_ASSIGN(auto rows, copier(draft.tensors));
  SPILLWAY_ASSIGN(auto file, platform::NewFile::create(out_));
  const auto sink = [&](std::span<const std::byte> bytes) { return file.write(bytes); };
  const auto progress = [&, told = draft.tensors.size()](size_t tensor) mutable {
    if (tensor != std::exchange(told, tensor))
      std::fprintf(stderr, "%s\n", tensor_line(draft, tensor).c_str());
    return !stop_->load(std::memory_order_relaxed);
  };
  SPILLWAY_TRY(engine::write_gguf(draft, rows, sink, progress));
  return file.commit();
}

}  // namespace spillway::cli

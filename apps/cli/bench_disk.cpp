#include "cli/bench_disk.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/units.h"
#include "cli/options.h"
#include "platform/linux/linux_platform.h"

namespace spillway::cli {
namespace {

struct DiskOptions {
  std::string file;
  std::optional<uint64_t> staging;
  size_t rounds = 5;
  bool json = false;
};

constexpr uint64_t kDefaultStaging = 16 * kMiB;
constexpr uint64_t kLeastStaging = 256 * kKiB;

std::string disk_json(const DiskBound& disk) {
  const nlohmann::ordered_json json = {{"bytes_per_second", disk.best().bytes_per_second},
                                       {"direct_bytes_per_second", disk.direct_rate()},
                                       {"buffered_bytes_per_second", disk.buffered_rate()},
                                       {"rates", machine::to_json(disk.medians())}};
  return json.dump(2) + "\n";
}

std::string table(const DiskBound& disk) {
  std::string text = "block      depth   GB/s (median)\n";
  for (const machine::DiskRate& r : disk.medians().rates) {
    text += fmt::format("{:<10} {:>5} {:>6.2f}\n", format_size(r.block_bytes), r.depth,
                        r.bytes_per_second / 1e9);
  }
  return text + describe(disk) + "\n";
}

Result<void> bench_disk(const DiskOptions& options) {
  const auto platform = platform::make_linux_platform();
  SPILLWAY_ASSIGN(const auto file, platform->open(options.file, {}));
  const uint64_t staging = options.staging.value_or(kDefaultStaging);
  if (staging < kLeastStaging) {
    return fail(ErrorCode::kUsage, "--staging {} is too small; it takes at least {}",
                format_size(staging), format_size(kLeastStaging));
  }
  DiskBound disk(*platform, *file, staging);
  for (size_t i = 0; i < options.rounds; ++i) {
    SPILLWAY_TRY(disk.sweep());
    std::fprintf(stderr, "round %zu of %zu\n", i + 1, options.rounds);
  }
  const std::string text = options.json ? disk_json(disk) : table(disk);
  std::fputs(text.c_str(), stdout);
  return {};
}

}  // namespace

std::string describe(const DiskBound& disk) {
  const machine::DiskRate best = disk.best();
  return fmt::format(
      "disk: {:.2f} GB/s in blocks of {}, {} in flight; unlimited {:.2f} direct, {:.2f} buffered: "
      "the staging reaches {:.2f} of the better",
      best.bytes_per_second / 1e9, format_size(best.block_bytes), best.depth,
      disk.direct_rate() / 1e9, disk.buffered_rate() / 1e9, disk.share_of_unlimited());
}

void add_disk_bench(Command& parent) {
  auto options = std::make_shared<DiskOptions>();
  Command command = parent.add_command("disk", "bytes a second that a file can be read at");
  command.add_option("FILE", options->file, "a large file on the disk in question").required();
  command.add_size("--staging", options->staging, "most bytes in flight; default 16MiB");
  command.add_option("--rounds", options->rounds, "sweeps of each kind")
      .range(1, 1000)
      .show_default();
  command.add_flag("--json", options->json, "for programs");
  command.on_chosen([options] { return bench_disk(*options); });
}

}  // namespace spillway::cli

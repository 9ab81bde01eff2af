#include "cli/rates.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "base/environment.h"
#include "base/units.h"
#include "engine/measure_kernels.h"
#include "machine/measure.h"

namespace spillway::cli {
namespace {

constexpr uint64_t kMostBuffer = 128 * kMiB;
constexpr uint64_t kMostStaging = 16 * kMiB;

machine::Machine describe(const platform::Platform& platform) {
  machine::Machine machine;
  machine.id = platform.machine_id();
  machine.processor = platform.processor().name;
  machine.cores = platform.processor().cores;
  if (const auto memory = platform.host_memory()) machine.host_bytes = memory->total_bytes;
  return machine;
}

machine::Machine load_or_describe(const platform::Platform& platform, const std::string& path) {
  std::error_code ignored;
  if (!path.empty() && std::filesystem::exists(path, ignored)) {
    auto loaded = machine::load_machine(path);
    if (loaded && loaded->id == platform.machine_id()) return *std::move(loaded);
    if (!loaded) std::fprintf(stderr, "measuring again: %s\n", loaded.error().message.c_str());
  }
  return describe(platform);
}

}  // namespace

std::string rates_path(const platform::Platform& platform) {
  const std::string folder = cache_directory();
  return folder.empty() ? folder : fmt::format("{}/machine-{}.json", folder, platform.machine_id());
}

Result<machine::Machine> known_rates(platform::Platform& platform, ThreadPool& pool, ops::Ops& ops,
                                     const RatesWanted& wanted) {
  const std::string path = rates_path(platform);
  machine::Machine machine = load_or_describe(platform, path);
  std::set<DType> unknown;
  for (const DType dtype : wanted.dtypes) {
    if (wanted.again || machine.kernel_rate(dtype_info(dtype).name, wanted.threads) == 0)
      unknown.insert(dtype);
  }
  const std::string device = wanted.file ? std::to_string(wanted.file->info().device) : "";
  const bool disk = wanted.file && (wanted.again || !machine.disks.contains(device));
  const bool memory = wanted.again || machine.dram_bytes_per_second == 0;
  if (unknown.empty() && !disk && !memory) return machine;

  std::fprintf(stderr, "measuring this machine, once …\n");
  memory::Budget budget(memory::Tier::kHost, wanted.memory_bytes);
  const uint64_t buffer = std::min(kMostBuffer, wanted.memory_bytes);
  if (memory) {
    SPILLWAY_ASSIGN(machine.dram_bytes_per_second,
                    machine::measure_dram(platform, budget, pool, buffer));
  }
  if (!unknown.empty() || machine.seconds_per_op == 0) {
    const engine::Context context{.platform = platform, .budget = budget, .ops = ops};
    SPILLWAY_TRY(engine::measure_kernels(
        context, {.dtypes = unknown, .threads = wanted.threads, .buffer_bytes = buffer}, machine));
  }
  if (disk) {
    const uint64_t staging = std::min(kMostStaging, wanted.memory_bytes);
    SPILLWAY_ASSIGN(machine.disks[device],
                    machine::measure_disk(platform, budget, *wanted.file, staging));
  }
  if (!path.empty()) {
    // A run does not need the cache: the next one measures again.
    if (const auto saved = machine::save_machine(machine, path); !saved) {
      std::fprintf(stderr, "the measured rates were not kept: %s\n", saved.error().message.c_str());
    }
  }
  return machine;
}

}  // namespace spillway::cli

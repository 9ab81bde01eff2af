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

namespace {

// What of the wanted is not known yet, or was measured with much smaller buffers than there may be
// now.
struct Unknown {
  std::set<DType> dtypes;
  bool disk = false;
  bool memory = false;
};

Unknown find_unknown(const machine::Machine& machine, const RatesWanted& wanted, uint64_t buffer,
                     const std::string& device) {
  const bool all = wanted.again || buffer >= 2 * machine.buffer_bytes;
  Unknown unknown{
      .dtypes = {}, .disk = wanted.file && (all || !machine.disks.contains(device)), .memory = all};
  for (const DType dtype : wanted.dtypes) {
    if (all || !machine.knows_kernel(dtype_info(dtype).name, wanted.threads)) {
      unknown.dtypes.insert(dtype);
    }
  }
  return unknown;
}

}  // namespace

Result<machine::Machine> known_rates(platform::Platform& platform, ops::Ops& ops,
                                     const RatesWanted& wanted) {
  const std::string path = rates_path(platform);
  machine::Machine machine = load_or_describe(platform, path);
  const uint64_t memory_bytes = round_down(wanted.memory_bytes, platform.page_bytes());
  const uint64_t buffer = std::min(kMostBuffer, memory_bytes);
  const std::string device = wanted.file ? std::to_string(wanted.file->info().device) : "";
  const Unknown unknown = find_unknown(machine, wanted, buffer, device);
  if (unknown.dtypes.empty() && !unknown.disk && !unknown.memory) return machine;

  std::fprintf(stderr, "measuring this machine, once …\n");
  memory::Budget budget(memory::Tier::kHost, memory_bytes);
  if (unknown.memory) {
    ThreadPool all(std::max(1U, platform.processor().cores));
    SPILLWAY_ASSIGN(machine.dram_bytes_per_second,
                    machine::measure_dram(platform, budget, all, buffer));
    machine.buffer_bytes = buffer;
  }
  if (!unknown.dtypes.empty()) {
    const engine::Context context{.platform = platform, .budget = budget, .ops = ops};
    SPILLWAY_TRY(engine::measure_kernels(
        context, {.dtypes = unknown.dtypes, .threads = wanted.threads, .buffer_bytes = buffer},
        machine));
  }
  if (unknown.disk) {
    const uint64_t staging = std::min(kMostStaging, memory_bytes);
    SPILLWAY_ASSIGN(machine.disks[device],
                    machine::measure_disk(platform, budget, *wanted.file, staging, wanted.stop));
  }
  if (!path.empty()) {
    // A run does not need the cache: the next one measures again.
    if (const auto saved = machine::save_machine(platform, machine, path); !saved) {
      std::fprintf(stderr, "the measured rates were not kept: %s\n", saved.error().message.c_str());
    }
  }
  return machine;
}

}  // namespace spillway::cli

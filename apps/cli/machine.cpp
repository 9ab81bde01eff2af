// spillway machine: what this machine has, and how fast it measured.
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/units.h"
#include "cli/choose_ops.h"
#include "cli/commands.h"
#include "cli/gpus.h"
#include "cli/host.h"
#include "cli/rates.h"
#include "platform/linux/linux_platform.h"

namespace spillway::cli {
namespace {

struct MachineOptions {
  std::string file;
  std::string save;
  unsigned threads = 0;
  bool json = false;
  bool again = false;
};

constexpr uint64_t kMeasureBytes = 128 * kMiB;
constexpr uint64_t kFreeShare = 4;  // measuring takes a quarter of what is free at most

const std::set<DType>& all_dtypes() {
  static const std::set<DType> dtypes = {DType::kF32,  DType::kF16,  DType::kBF16, DType::kQ4_0,
                                         DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kQ8_0,
                                         DType::kQ2_K, DType::kQ3_K, DType::kQ4_K, DType::kQ5_K,
                                         DType::kQ6_K};
  return dtypes;
}

std::string describe_rates(const machine::Machine& machine) {
  std::string text = fmt::format("{}, {} cores, {} of host memory\n", machine.processor,
                                 machine.cores, format_size(machine.host_bytes));
  text += fmt::format("memory reads    {:8.2f} GB/s\n", machine.dram_bytes_per_second / 1e9);
  for (const machine::KernelRate& k : machine.kernels) {
    text += fmt::format("product {:<7} {:8.2f} GB/s of weights on {} threads\n", k.dtype,
                        k.bytes_per_second / 1e9, k.threads);
  }
  text += fmt::format("an op by itself {:8.2f} us\n", machine.seconds_per_op * 1e6);
  for (const auto& [device, disk] : machine.disks) {
    text += fmt::format("disk {}: best {:.2f} GB/s\n  block      depth   GB/s\n", device,
                        disk.best() / 1e9);
    for (const machine::DiskRate& r : disk.rates) {
      text += fmt::format("  {:<9} {:>6} {:>6.2f}\n", format_size(r.block_bytes), r.depth,
                          r.bytes_per_second / 1e9);
    }
  }
  if (machine.disks.empty())
    text += "disks: give a large FILE to measure the disk that it lies on\n";
  return text;
}

Result<void> show_machine(const MachineOptions& options) {
  const auto platform = platform::make_linux_platform();
  SPILLWAY_ASSIGN(const platform::HostMemory memory, platform->host_memory());
  const platform::HostFacts facts = platform->host_facts();
  RatesWanted wanted{.dtypes = all_dtypes(), .again = options.again};
  wanted.threads =
      options.threads > 0 ? options.threads : std::max(1U, platform->processor().cores);
  wanted.memory_bytes = std::min(kMeasureBytes, memory.free_bytes() / kFreeShare);
  std::unique_ptr<platform::File> file;
  if (!options.file.empty()) {
    SPILLWAY_ASSIGN(file, platform->open(options.file, {}));
    wanted.file = file.get();
  }
  ThreadPool pool(wanted.threads);
  SPILLWAY_ASSIGN(const auto ops, choose_ops(pool));
  SPILLWAY_ASSIGN(const machine::Machine machine, known_rates(*platform, *ops, wanted));
  if (!options.save.empty()) SPILLWAY_TRY(machine::save_machine(*platform, machine, options.save));
  if (options.json) {
    auto json = machine::to_json(machine);
    json["memory"] = to_json(memory);
    json["host"] = to_json(facts);
    json["gpus"] = to_json(ask_gpus());
    std::puts(json.dump(2).c_str());
  } else {
    const std::string text =
        describe_rates(machine) + describe(memory, facts) + describe(ask_gpus());
    std::fputs(text.c_str(), stdout);
  }
  return {};
}

}  // namespace

void add_machine(Command& program) {
  auto options = std::make_shared<MachineOptions>();
  Command command =
      program.add_command("machine", "says what this machine has and how fast it measured");
  command.add_option("FILE", options->file, "a large file: the disk that it lies on is measured");
  command.add_option("--threads,-t", options->threads, "processors that compute; default all")
      .range(1, 1024);
  command.add_flag("--measure", options->again, "measure again what is known");
  command.add_option("--save", options->save, "keep the description; 'plan --machine' reads it")
      .type_name("FILE");
  command.add_flag("--json", options->json, "for programs");
  command.on_chosen([options] { return show_machine(*options); });
}

}  // namespace spillway::cli

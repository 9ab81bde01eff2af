#include "cli/bench_memory.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/units.h"
#include "cli/memory_bench.h"
#include "cli/options.h"

namespace spillway::cli {
namespace {

struct Flags {
  MemoryBenchOptions measure;
  std::optional<uint64_t> bytes;
  std::optional<uint64_t> moving_bytes;
  std::optional<uint64_t> pinned_bytes;
  std::optional<uint64_t> simulated_bytes;
  std::vector<std::string> only;  // names of kParts; empty: all
  bool json = false;
};

struct Part {
  const char* name;
  Result<std::vector<Figure>> (*measure)(MemoryBench&);
};

Result<std::vector<Figure>> commits(MemoryBench& bench) {
  using memory::Tier;
  std::vector<Figure> figures;
  for (const auto& [extent, tier] :
       {std::pair(2 * kMiB, Tier::kHbm), std::pair(32 * kMiB, Tier::kHbm),
        std::pair(32 * kMiB, Tier::kHost)}) {
    SPILLWAY_ASSIGN(const std::vector<Figure> some, bench.commits(extent, tier));
    figures.insert(figures.end(), some.begin(), some.end());
  }
  return figures;
}

// In the order that they are measured in: moves take their bound from the copies before them.
constexpr std::array kParts = {
    Part{"copies", [](MemoryBench& bench) { return bench.copies(); }},
    Part{"moves", [](MemoryBench& bench) { return bench.moves(); }},
    Part{"commits", commits},
    Part{"loading", [](MemoryBench& bench) { return bench.loading(); }},
    Part{"pinned", [](MemoryBench& bench) { return bench.pinned(); }},
    Part{"allocator", [](MemoryBench& bench) { return bench.allocator(); }},
    Part{"moving", [](MemoryBench& bench) { return bench.moving(); }},
};

std::string line_of(const Figure& figure) {
  std::string text = fmt::format("{:<56} {:>10.2f} {:<8}", figure.name, figure.value, figure.unit);
  if (figure.bound > 0) {
    text += fmt::format(" {:.3f} of {:.2f} ({})", figure.value / figure.bound, figure.bound,
                        figure.bound_name);
  }
  return text + (figure.note.empty() ? "\n" : "  " + figure.note + "\n");
}

nlohmann::ordered_json figure_json(const Figure& figure) {
  nlohmann::ordered_json json = {
      {"name", figure.name}, {"value", figure.value}, {"unit", figure.unit}};
  if (figure.bound > 0) {
    json["bound"] = figure.bound;
    json["bound_name"] = figure.bound_name;
    json["share_of_bound"] = figure.value / figure.bound;
  }
  if (!figure.note.empty()) json["note"] = figure.note;
  return json;
}

Result<void> bench_memory(Flags flags) {
  MemoryBenchOptions& options = flags.measure;
  options.bytes = flags.bytes.value_or(options.bytes);
  options.moving_bytes = flags.moving_bytes.value_or(0);
  options.pinned_bytes = flags.pinned_bytes.value_or(0);
  options.simulated_bytes = flags.simulated_bytes.value_or(0);
  SPILLWAY_ASSIGN(const auto bench, MemoryBench::create(options));
  auto json = nlohmann::ordered_json::array();
  const auto is_left_out = [&](const Part& part) {
    return !flags.only.empty() &&
           std::find(flags.only.begin(), flags.only.end(), part.name) == flags.only.end();
  };
  for (const Part& part : kParts) {
    if (is_left_out(part)) continue;
    SPILLWAY_ASSIGN(const std::vector<Figure> figures, part.measure(*bench));
    for (const Figure& figure : figures) {
      json.push_back(figure_json(figure));
      // Long work shows how far it is.
      std::fputs(line_of(figure).c_str(), flags.json ? stderr : stdout);
      std::fflush(flags.json ? stderr : stdout);
    }
  }
  if (flags.json) std::puts(json.dump(2).c_str());
  return {};
}

}  // namespace

void add_memory_bench(Command& parent) {
  auto flags = std::make_shared<Flags>();
  Command command =
      parent.add_command("memory", "GPU memory and host memory: moves, new memory, allocations");
  command.add_option("--device", flags->measure.device, "the GPU's number")
      .range(0, 255)
      .show_default();
  command.add_size("--bytes", flags->bytes, "that a measurement moves or makes; default 4GiB");
  command.add_size(
      "--moving", flags->moving_bytes,
      "the region that moves at random, a third of it in HBM; default 3 times --bytes");
  command.add_size("--pinned", flags->pinned_bytes,
                   "pinned memory that is made at once; default --bytes");
  command.add_option("--seconds", flags->measure.seconds, "of moving at random")
      .range(0.1, 3600.0)
      .show_default();
  command.add_option("--rounds", flags->measure.rounds, "of each measurement")
      .range(1, 1000)
      .show_default();
  command.add_size("--simulated", flags->simulated_bytes,
                   "on a simulated GPU with so much memory: shows that it works, not how fast");
  std::vector<std::string> names;
  names.reserve(kParts.size());
  for (const Part& part : kParts) names.emplace_back(part.name);
  command.add_option("--only", flags->only, "these measurements; moves have a bound after copies")
      .one_of(names);
  command.add_flag("--json", flags->json, "for programs");
  command.on_chosen([flags] { return bench_memory(*flags); });
}

}  // namespace spillway::cli

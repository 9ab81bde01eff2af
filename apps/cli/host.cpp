#include "cli/host.h"

#include <nlohmann/json.hpp>

#include "base/units.h"

namespace spillway::cli {
namespace {

using nlohmann::ordered_json;
using platform::format_ranges;

std::string or_unknown(const std::string& text) {
  return text.empty() ? "unknown" : text;
}

// What the system did not tell is null.
ordered_json or_null(const std::string& text) {
  return text.empty() ? ordered_json() : ordered_json(text);
}

std::string describe_memory(const platform::HostMemory& memory, const platform::HostFacts& facts) {
  std::string text =
      fmt::format("memory          {}, {} available (reclaimable page cache counted), swap {}\n",
                  format_size(memory.total_bytes), format_size(memory.available_bytes),
                  facts.swap_total_bytes == 0 ? "none" : format_size(facts.swap_total_bytes));
  if (memory.cgroup_limit_bytes == 0) return text + "cgroup          no limit\n";
  return text + fmt::format("cgroup          limit {}, {} in use: {} left for this process\n",
                            format_size(memory.cgroup_limit_bytes),
                            format_size(memory.cgroup_usage_bytes),
                            format_size(memory.free_bytes()));
}

std::string describe_pages(const platform::HostFacts& facts) {
  return fmt::format("pages           {}; huge pages {}: {}, defrag {}{}\n",
                     format_size(facts.page_bytes), format_size(facts.huge_page_bytes),
                     or_unknown(facts.huge_pages), or_unknown(facts.huge_page_defrag),
                     facts.huge_pages_refused ? ", refused to this process" : "");
}

std::string describe_nodes(const platform::HostFacts& facts) {
  std::string text;
  for (const platform::NumaNode& node : facts.nodes) {
    text += fmt::format("NUMA node {:<5} {}, {} available, {}\n", node.id,
                        format_size(node.total_bytes), format_size(node.available_bytes),
                        node.cpus.empty() ? "no CPUs" : "CPUs " + format_ranges(node.cpus));
  }
  return text;
}

}  // namespace

std::string describe(const platform::HostMemory& memory, const platform::HostFacts& facts) {
  return describe_memory(memory, facts) + describe_pages(facts) + describe_nodes(facts) +
         fmt::format("this process    CPUs {}, memory of nodes {}, policy {}, ulimit -l {}\n",
                     or_unknown(format_ranges(facts.allowed_cpus)),
                     or_unknown(format_ranges(facts.allowed_nodes)),
                     or_unknown(facts.memory_policy),
                     facts.lock_limit_bytes ? format_size(*facts.lock_limit_bytes) : "unlimited") +
         fmt::format("kernel          {}{}\n", or_unknown(facts.kernel_release),
                     facts.wsl ? " (Windows' subsystem for Linux)" : "");
}

ordered_json to_json(const platform::HostMemory& memory) {
  const bool limited = memory.cgroup_limit_bytes > 0;
  return {
      {"total_bytes", memory.total_bytes},
      {"available_bytes", memory.available_bytes},
      {"cgroup_limit_bytes", limited ? ordered_json(memory.cgroup_limit_bytes) : ordered_json()},
      {"cgroup_usage_bytes", limited ? ordered_json(memory.cgroup_usage_bytes) : ordered_json()},
      {"free_bytes", memory.free_bytes()}};
}

ordered_json to_json(const platform::HostFacts& facts) {
  auto nodes = ordered_json::array();
  for (const platform::NumaNode& node : facts.nodes) {
    nodes.push_back({{"id", node.id},
                     {"cpus", format_ranges(node.cpus)},
                     {"total_bytes", node.total_bytes},
                     {"available_bytes", node.available_bytes},
                     {"cache_bytes", node.cache_bytes}});
  }
  return {{"kernel", or_null(facts.kernel_release)},
          {"wsl", facts.wsl},
          {"page_bytes", facts.page_bytes},
          {"huge_page_bytes", facts.huge_page_bytes},
          {"huge_pages", or_null(facts.huge_pages)},
          {"huge_page_defrag", or_null(facts.huge_page_defrag)},
          {"huge_pages_refused", facts.huge_pages_refused},
          {"lock_limit_bytes", facts.lock_limit_bytes ? ordered_json(*facts.lock_limit_bytes)
                                                      : ordered_json("unlimited")},
          {"swap_total_bytes", facts.swap_total_bytes},
          {"swap_free_bytes", facts.swap_free_bytes},
          {"cgroup_limit_file", or_null(facts.cgroup_limit_file)},
          {"numa_nodes", nodes},
          {"allowed_cpus", or_null(format_ranges(facts.allowed_cpus))},
          {"allowed_nodes", or_null(format_ranges(facts.allowed_nodes))},
          {"memory_policy", or_null(facts.memory_policy)},
          {"nvidia_module", or_null(facts.nvidia_module)},
          {"coherent_memory_mode", or_null(facts.coherent_memory_mode)}};
}

}  // namespace spillway::cli

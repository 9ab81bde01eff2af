#include "platform/linux/host_facts.h"

#include <charconv>
#include <fstream>

#include "base/units.h"
#include "platform/linux/machine_facts.h"
#include "platform/linux/text.h"

namespace spillway::platform {
namespace {

constexpr unsigned kCapIpcLock = 14;  // the bit of CAP_IPC_LOCK, linux/capability.h

std::string first_line(const std::string& path) {
  const std::string text = read_text(path);
  return text.substr(0, text.find('\n'));
}

// "always [madvise] never" → "madvise".
std::string chosen_of(std::string_view text) {
  const size_t open = text.find('[');
  const size_t close = text.find(']', open);
  if (open == std::string_view::npos || close == std::string_view::npos) return {};
  return std::string(text.substr(open + 1, close - open - 1));
}

void read_pages(const std::string& root, const std::string& status, HostFacts& facts) {
  const std::string folder = root + "/sys/kernel/mm/transparent_hugepage/";
  facts.huge_pages = chosen_of(read_text(folder + "enabled"));
  facts.huge_page_defrag = chosen_of(read_text(folder + "defrag"));
  facts.huge_page_bytes = number_after(read_text(folder + "hpage_pmd_size"), "").value_or(0);
  facts.huge_pages_refused = number_after(status, "THP_enabled:") == 0;
}

// Lines of limits: "Max locked memory         8388608              8388608              bytes".
void read_lock_limit(const std::string& root, const std::string& status, HostFacts& facts) {
  facts.lock_limit_bytes = number_after(read_text(root + "/proc/self/limits"), "Max locked memory");
  const std::string_view rights = value_after(status, "CapEff:").value_or("");
  uint64_t bits = 0;
  std::from_chars(rights.data(), rights.data() + rights.size(), bits, 16);
  facts.ignores_lock_limit = (bits >> kCapIpcLock & 1) != 0;
}

// Lines of a node's meminfo: "Node 0 MemTotal:       18704160 kB".
NumaNode read_node(const std::string& folder, unsigned id) {
  const std::string meminfo = read_text(folder + "/meminfo");
  const auto bytes = [&](std::string_view key) {
    return number_after(meminfo, fmt::format("Node {} {}:", id, key)).value_or(0) * kKiB;
  };
  NumaNode node{.id = id, .cpus = parse_ranges(read_text(folder + "/cpulist"))};
  node.total_bytes = bytes("MemTotal");
  // As the kernel counts MemAvailable, without the watermarks, which it does not tell per node.
  node.cache_bytes = bytes("Active(file)") + bytes("Inactive(file)");
  node.available_bytes = bytes("MemFree") + node.cache_bytes + bytes("SReclaimable");
  return node;
}

std::vector<NumaNode> read_nodes(const std::string& root) {
  const std::string folder = root + "/sys/devices/system/node";
  std::vector<NumaNode> nodes;
  for (const unsigned id : parse_ranges(read_text(folder + "/online"))) {
    nodes.push_back(read_node(fmt::format("{}/node{}", folder, id), id));
  }
  return nodes;
}

// Lines of numa_maps: "55ba52d62000 default file=… N0=2": mappings without a policy of their own,
// such as the program's, show that of the process. Only the first is read: for the others the
// kernel counts their pages.
std::string read_memory_policy(const std::string& root) {
  std::string line;
  std::ifstream maps(root + "/proc/self/numa_maps");
  std::getline(maps, line);
  const auto words = split(line, ' ');
  return words.size() < 2 ? std::string() : std::string(words[1]);
}

// Lines of version: "NVRM version: NVIDIA UNIX … Kernel Module for x86_64  580.65.06  Release …".
std::string module_version(const std::string& text) {
  const std::string_view line = std::string_view(text).substr(0, text.find('\n'));
  for (const std::string_view word : split(line, ' ')) {
    const bool starts = word.front() >= '0' && word.front() <= '9';
    if (starts && word.find('.') != std::string_view::npos) return std::string(word);
  }
  return {};
}

// Lines of params: `CoherentGPUMemoryMode: "driver"`.
std::string coherent_memory_mode(const std::string& params) {
  std::string mode(value_after(params, "CoherentGPUMemoryMode:").value_or(""));
  std::erase(mode, '"');
  return mode;
}

bool is_wsl(const std::string& release) {
  return release.find("microsoft") != std::string::npos ||
         release.find("Microsoft") != std::string::npos || release.find("WSL") != std::string::npos;
}

}  // namespace

HostFacts read_host_facts(const std::string& root) {
  HostFacts facts;
  const std::string status = read_text(root + "/proc/self/status");
  const std::string meminfo = read_text(root + "/proc/meminfo");
  read_pages(root, status, facts);
  read_lock_limit(root, status, facts);
  facts.kernel_release = first_line(root + "/proc/sys/kernel/osrelease");
  facts.wsl = is_wsl(facts.kernel_release);
  facts.swap_total_bytes = number_after(meminfo, "SwapTotal:").value_or(0) * kKiB;
  facts.swap_free_bytes = number_after(meminfo, "SwapFree:").value_or(0) * kKiB;
  facts.nodes = read_nodes(root);
  facts.allowed_cpus = parse_ranges(value_after(status, "Cpus_allowed_list:").value_or(""));
  facts.allowed_nodes = parse_ranges(value_after(status, "Mems_allowed_list:").value_or(""));
  facts.memory_policy = read_memory_policy(root);
  facts.cgroup_limit_file = read_cgroup_memory(root).limit_file;
  facts.nvidia_module = module_version(read_text(root + "/proc/driver/nvidia/version"));
  facts.coherent_memory_mode = coherent_memory_mode(read_text(root + "/proc/driver/nvidia/params"));
  return facts;
}

}  // namespace spillway::platform

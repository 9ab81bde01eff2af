// Checks of where GPUs, their memory, and this process lie among the NUMA nodes.
#include <algorithm>

#include "base/units.h"
#include "machine/doctor_checks.h"

namespace spillway::machine {
namespace {

using platform::format_ranges;
using platform::NumaNode;
using Numbers = std::vector<unsigned>;

bool has(const Numbers& numbers, unsigned number) {
  return std::find(numbers.begin(), numbers.end(), number) != numbers.end();
}

const NumaNode* node_of(const Facts& facts, int id) {
  for (const NumaNode& node : facts.host.nodes) {
    if (id >= 0 && node.id == static_cast<unsigned>(id)) return &node;
  }
  return nullptr;
}

Numbers nodes_with_cpus(const Facts& facts) {
  Numbers ids;
  for (const NumaNode& node : facts.host.nodes) {
    if (!node.cpus.empty()) ids.push_back(node.id);
  }
  return ids;
}

// Those that this process may run on.
Numbers running_nodes(const Facts& facts) {
  Numbers ids;
  for (const NumaNode& node : facts.host.nodes) {
    const bool may = std::any_of(node.cpus.begin(), node.cpus.end(),
                                 [&](unsigned cpu) { return has(facts.host.allowed_cpus, cpu); });
    if (may) ids.push_back(node.id);
  }
  return ids;
}

// Those that new memory comes from: what the cpuset allows, narrowed by the policy that numactl
// set. "bind:0", "prefer:1" and "bind=static:0" name nodes, "default" and "local" do not.
Numbers memory_nodes(const Facts& facts) {
  const std::string& policy = facts.host.memory_policy;
  const size_t colon = policy.find(':');
  const bool narrow = policy.starts_with("bind") || policy.starts_with("prefer");
  if (!narrow || colon == std::string::npos) return facts.host.allowed_nodes;
  return platform::parse_ranges(std::string_view(policy).substr(colon + 1));
}

std::string numactl(unsigned node) {
  return fmt::format("numactl --cpunodebind={} --preferred={} spillway …", node, node);
}

Finding bound_elsewhere(const platform::GpuInfo& gpu, const NumaNode& near, const Facts& facts) {
  const Numbers running = running_nodes(facts);
  const Numbers memory = memory_nodes(facts);
  Finding finding{
      .name = "numa-node",
      .what =
          fmt::format("GPU {} ({}) is nearest to NUMA node {}, but this process runs on node {} "
                      "(CPUs {}) and takes memory of node {}",
                      gpu.ordinal, gpu.name, near.id, format_ranges(running),
                      format_ranges(facts.host.allowed_cpus), format_ranges(memory)),
      .why =
          "what its threads fill crosses from one processor to the other on its way to the GPU; "
          "the wrong node cost others 1.5 to 3 times (pytorch/torchtitan pull request 3489)",
      .mend = numactl(near.id)};
  if (!has(facts.host.allowed_nodes, near.id)) {
    finding.mend = fmt::format(
        "its cpuset leaves node {} out: docker update --cpuset-cpus {} "
        "--cpuset-mems {} CONTAINER",
        near.id, format_ranges(near.cpus), near.id);
  }
  return finding;
}

Finding bound_nowhere(const platform::GpuInfo& gpu, const NumaNode& near, const Facts& facts) {
  return {
      .name = "numa-node",
      .severity = Severity::kNote,
      .what = fmt::format("GPU {} ({}) is nearest to NUMA node {}; this process may run on nodes "
                          "{}",
                          gpu.ordinal, gpu.name, near.id, format_ranges(running_nodes(facts))),
      .why =
          "extents in host memory are made on the GPU's node; pinned memory and what threads "
          "fill lie where those happen to run",
      .mend = numactl(near.id)};
}

}  // namespace

Findings check_bound_elsewhere(const Facts& facts) {
  Findings findings;
  const Numbers running = running_nodes(facts);
  if (nodes_with_cpus(facts).size() < 2 || running.empty()) return findings;
  for (const auto& gpu : facts.gpus) {
    const NumaNode* near = gpu ? node_of(facts, gpu->host_node) : nullptr;
    if (near == nullptr || near->cpus.empty()) continue;
    const Numbers memory = memory_nodes(facts);
    const bool elsewhere = !has(running, near->id) || (!memory.empty() && !has(memory, near->id));
    if (elsewhere) {
      findings.push_back(bound_elsewhere(*gpu, *near, facts));
    } else if (running.size() > 1) {
      findings.push_back(bound_nowhere(*gpu, *near, facts));
    }
  }
  return findings;
}

Findings check_device_nodes(const Facts& facts) {
  Findings findings;
  for (const auto& gpu : facts.gpus) {
    const NumaNode* node = gpu ? node_of(facts, gpu->device_node) : nullptr;
    if (node == nullptr || node->total_bytes == 0) continue;
    findings.push_back(
        {.name = "hbm-as-numa-node",
         .what =
             fmt::format("the memory of GPU {} ({}) is NUMA node {} of the system: {}, of which "
                         "{} are available and {} are page cache",
                         gpu->ordinal, gpu->name, node->id, format_size(node->total_bytes),
                         format_size(node->available_bytes), format_size(node->cache_bytes)),
         .why =
             "the kernel puts files and other programs' memory there, and counts it as free host "
             "memory; memory allocated by node was read at half to two thirds of the rate of "
             "memory from the driver (1,560 to 2,220 against 3,170 to 3,530 GB/s, arXiv "
             "2408.11556)",
         .mend = fmt::format("echo options nvidia NVreg_CoherentGPUMemoryMode=driver | sudo tee "
                             "/etc/modprobe.d/nvidia-coherent.conf (driver 580 or newer), and "
                             "restart; for one run: numactl --membind={} spillway …",
                             format_ranges(nodes_with_cpus(facts)))});
  }
  return findings;
}

}  // namespace spillway::machine

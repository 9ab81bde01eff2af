// What the host side of a machine is made of and what it allows this process: NUMA nodes, pages,
// limits, kernel. Values, read once by Platform::host_facts(); any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::platform {

struct NumaNode {
  unsigned id = 0;
  std::vector<unsigned> cpus = {};  // ascending; none: only memory, such as HBM or CXL
  uint64_t total_bytes = 0;         // of memory
  uint64_t available_bytes = 0;     // free, reclaimable page cache counted
  uint64_t cache_bytes = 0;         // page cache that lies there, reclaimable
};

struct HostFacts {
  size_t page_bytes = 4096;
  // Transparent huge pages: how large one is, who gets them ("always", "madvise", "never"), and how
  // hard the kernel tries to make one ("always", "defer", "defer+madvise", "madvise", "never").
  // 0 and "" where the system does not tell.
  size_t huge_page_bytes = 0;
  std::string huge_pages = {};
  std::string huge_page_defrag = {};
  bool huge_pages_refused = false;  // to this process, by prctl(PR_SET_THP_DISABLE)

  std::optional<uint64_t> lock_limit_bytes = {};  // ulimit -l; none: unlimited
  bool ignores_lock_limit = false;                // CAP_IPC_LOCK, as root has

  std::string kernel_release = {};  // "6.1.0-18-amd64"
  bool wsl = false;                 // Windows' subsystem for Linux

  uint64_t swap_total_bytes = 0;
  uint64_t swap_free_bytes = 0;

  std::vector<NumaNode> nodes = {};          // by id; empty: the system does not tell
  std::vector<unsigned> allowed_cpus = {};   // that this process may run on; empty: unknown
  std::vector<unsigned> allowed_nodes = {};  // that it may take memory of, by its cpuset
  std::string memory_policy = {};  // "default", "bind:0", "prefer:1", "interleave:0-1"; or ""

  std::string cgroup_limit_file = {};  // that holds HostMemory::cgroup_limit_bytes; "": no limit

  std::string nvidia_module = {};         // version of the kernel module, "580.65.06"; "": none
  std::string coherent_memory_mode = {};  // its CoherentGPUMemoryMode; "": not set, or none
};

// Sets of CPUs and nodes as Linux and numactl write them: {0, 1, 2, 5} is "0-2,5". Of a text, parts
// that are no range, or one of more than a machine can have, are left out.
std::string format_ranges(const std::vector<unsigned>& numbers);
std::vector<unsigned> parse_ranges(std::string_view text);

}  // namespace spillway::platform

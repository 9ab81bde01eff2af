// Recorded files of machines, cut to the lines that matter.
#include "platform/linux/host_facts.h"

#include <gtest/gtest.h>

#include "base/units.h"
#include "platform/linux/linux_platform.h"
#include "support/root_folder.h"

namespace spillway::platform {
namespace {

using Numbers = std::vector<unsigned>;

class HostFactsOfFiles : public testing::Test {
 protected:
  void put(const std::string& path, const std::string& text) { folder_.put(path, text); }
  HostFacts read() const { return read_host_facts(folder_.path()); }

  // Sizes in kB, as a node's meminfo has them.
  void put_node(unsigned id, const std::string& cpus, uint64_t total, uint64_t free) {
    const std::string folder = fmt::format("/sys/devices/system/node/node{}/", id);
    put(folder + "cpulist", cpus + "\n");
    put(folder + "meminfo", fmt::format("Node {0} MemTotal:       {1} kB\n"
                                        "Node {0} MemFree:        {2} kB\n"
                                        "Node {0} Active(file):   300 kB\n"
                                        "Node {0} Inactive(file): 500 kB\n"
                                        "Node {0} FilePages:      900 kB\n"
                                        "Node {0} SReclaimable:   70 kB\n",
                                        id, total, free));
  }

  const test::RootFolder folder_{};
};

TEST_F(HostFactsOfFiles, NothingTellsNothing) {
  const HostFacts facts = read();
  EXPECT_EQ(facts.huge_pages, "");
  EXPECT_EQ(facts.huge_page_bytes, 0u);
  EXPECT_FALSE(facts.huge_pages_refused);
  EXPECT_EQ(facts.lock_limit_bytes, std::nullopt);
  EXPECT_FALSE(facts.ignores_lock_limit);
  EXPECT_FALSE(facts.wsl);
  EXPECT_TRUE(facts.nodes.empty());
  EXPECT_TRUE(facts.allowed_cpus.empty());
  EXPECT_EQ(facts.memory_policy, "");
  EXPECT_EQ(facts.cgroup_limit_file, "");
  EXPECT_EQ(facts.nvidia_module, "");
}

TEST_F(HostFactsOfFiles, ReadsHugePages) {
  const std::string folder = "/sys/kernel/mm/transparent_hugepage/";
  put(folder + "enabled", "always madvise [never]\n");
  put(folder + "defrag", "always defer [defer+madvise] madvise never\n");
  put(folder + "hpage_pmd_size", "536870912\n");
  put("/proc/self/status", "Name:\tspillway\nTHP_enabled:\t1\n");
  const HostFacts facts = read();
  EXPECT_EQ(facts.huge_pages, "never");
  EXPECT_EQ(facts.huge_page_defrag, "defer+madvise");
  EXPECT_EQ(facts.huge_page_bytes, 512 * kMiB);
  EXPECT_FALSE(facts.huge_pages_refused);
  put("/proc/self/status", "Name:\tspillway\nTHP_enabled:\t0\n");
  EXPECT_TRUE(read().huge_pages_refused);
}

TEST_F(HostFactsOfFiles, ReadsTheLockLimitAndWhoIsAboveIt) {
  const std::string head = "Limit                     Soft Limit           Hard Limit  Units\n";
  put("/proc/self/limits",
      head + "Max locked memory         65536                8388608     bytes\n");
  put("/proc/self/status", "CapEff:\t00000000a80425fb\n");  // a container's
  EXPECT_EQ(read().lock_limit_bytes, 65536u);
  EXPECT_FALSE(read().ignores_lock_limit);
  put("/proc/self/status", "CapEff:\t000001ffffffffff\n");  // root's
  EXPECT_TRUE(read().ignores_lock_limit);
  put("/proc/self/limits",
      head + "Max locked memory         unlimited            unlimited   bytes\n");
  EXPECT_EQ(read().lock_limit_bytes, std::nullopt);
}

TEST_F(HostFactsOfFiles, ReadsNodesOfAGraceHopper) {
  put("/sys/devices/system/node/online", "0-1\n");
  put_node(0, "0-71", 500000000, 400000000);
  put_node(1, "", 97280000, 90000000);
  const HostFacts facts = read();
  ASSERT_EQ(facts.nodes.size(), 2u);
  EXPECT_EQ(facts.nodes[0].cpus.size(), 72u);
  EXPECT_EQ(facts.nodes[0].total_bytes, 500000000 * kKiB);
  EXPECT_EQ(facts.nodes[0].cache_bytes, 800 * kKiB);
  EXPECT_EQ(facts.nodes[0].available_bytes, 400000870 * kKiB);
  EXPECT_EQ(facts.nodes[1].id, 1u);
  EXPECT_TRUE(facts.nodes[1].cpus.empty());
  EXPECT_EQ(facts.nodes[1].total_bytes, 97280000 * kKiB);
}

TEST_F(HostFactsOfFiles, NodesMayHaveGaps) {
  put("/sys/devices/system/node/online", "0,8\n");
  put_node(0, "0-3", 1000, 100);
  put_node(8, "4-7", 1000, 100);
  const HostFacts facts = read();
  ASSERT_EQ(facts.nodes.size(), 2u);
  EXPECT_EQ(facts.nodes[1].id, 8u);
  EXPECT_EQ(facts.nodes[1].cpus, (Numbers{4, 5, 6, 7}));
}

TEST_F(HostFactsOfFiles, ReadsWhereThisProcessMayBe) {
  put("/proc/self/status",
      "Cpus_allowed:\tff00\nCpus_allowed_list:\t8-10,15\nMems_allowed_list:\t0-1\n");
  put("/proc/self/numa_maps", "55ba52d62000 bind:1 file=/usr/bin/spillway mapped=2 N0=2\n");
  const HostFacts facts = read();
  EXPECT_EQ(facts.allowed_cpus, (Numbers{8, 9, 10, 15}));
  EXPECT_EQ(facts.allowed_nodes, (Numbers{0, 1}));
  EXPECT_EQ(facts.memory_policy, "bind:1");
}

TEST_F(HostFactsOfFiles, KnowsWindows) {
  put("/proc/sys/kernel/osrelease", "5.15.153.1-microsoft-standard-WSL2\n");
  EXPECT_TRUE(read().wsl);
  EXPECT_EQ(read().kernel_release, "5.15.153.1-microsoft-standard-WSL2");
  put("/proc/sys/kernel/osrelease", "4.4.0-19041-Microsoft\n");
  EXPECT_TRUE(read().wsl);
  put("/proc/sys/kernel/osrelease", "6.1.0-18-amd64\n");
  EXPECT_FALSE(read().wsl);
}

TEST_F(HostFactsOfFiles, ReadsSwap) {
  put("/proc/meminfo", "MemTotal: 9 kB\nSwapCached: 5 kB\nSwapTotal: 2048 kB\nSwapFree: 1024 kB\n");
  EXPECT_EQ(read().swap_total_bytes, 2 * kMiB);
  EXPECT_EQ(read().swap_free_bytes, kMiB);
}

TEST_F(HostFactsOfFiles, ReadsNvidiasModule) {
  put("/proc/driver/nvidia/version",
      "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  580.65.06  Release Build\n"
      "GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n");
  put("/proc/driver/nvidia/params", "EnableMSI: 1\nCoherentGPUMemoryMode: \"driver\"\n");
  EXPECT_EQ(read().nvidia_module, "580.65.06");
  EXPECT_EQ(read().coherent_memory_mode, "driver");
  put("/proc/driver/nvidia/params", "EnableMSI: 1\nCoherentGPUMemoryMode: \"\"\n");
  EXPECT_EQ(read().coherent_memory_mode, "");
}

TEST_F(HostFactsOfFiles, NamesTheFileOfTheCgroupsLimit) {
  put("/proc/self/cgroup", "0::/a/b\n");
  put("/proc/self/mountinfo", "35 31 0:32 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  put("/sys/fs/cgroup/a/b/memory.max", "max\n");
  put("/sys/fs/cgroup/a/memory.max", "20000\n");
  EXPECT_EQ(read().cgroup_limit_file, "/sys/fs/cgroup/a/memory.max");
  put("/sys/fs/cgroup/a/memory.high", "10000\n");
  EXPECT_EQ(read().cgroup_limit_file, "/sys/fs/cgroup/a/memory.high");
}

TEST(HostFactsHere, SayWhatThisMachineIs) {
  const HostFacts facts = make_linux_platform()->host_facts();
  EXPECT_EQ(facts.page_bytes, static_cast<size_t>(getpagesize()));
  EXPECT_FALSE(facts.kernel_release.empty());
  EXPECT_FALSE(facts.allowed_cpus.empty());
}

TEST(Ranges, AreReadAndWritten) {
  EXPECT_EQ(parse_ranges("0-2,5\n"), (Numbers{0, 1, 2, 5}));
  EXPECT_EQ(parse_ranges(""), Numbers{});
  EXPECT_EQ(parse_ranges("\n"), Numbers{});
  EXPECT_EQ(parse_ranges("x,3,7-6,1-99999999"), Numbers{3});
  EXPECT_EQ(format_ranges({0, 1, 2, 5}), "0-2,5");
  EXPECT_EQ(format_ranges({3}), "3");
  EXPECT_EQ(format_ranges({}), "");
}

}  // namespace
}  // namespace spillway::platform

#include "platform/linux/machine_facts.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/units.h"
#include "platform/linux/text.h"
#include "support/root_folder.h"

namespace spillway::platform {
namespace {

class MachineFacts : public testing::Test {
 protected:
  void put(const std::string& path, const std::string& text) { folder_.put(path, text); }
  void put_version_2(const std::string& folder, const std::string& limit, uint64_t usage) {
    put("/sys/fs/cgroup" + folder + "/memory.max", limit + "\n");
    put("/sys/fs/cgroup" + folder + "/memory.current", std::to_string(usage) + "\n");
  }

  const test::RootFolder folder_{};
  const std::string root_ = folder_.path();
};

TEST_F(MachineFacts, ReadsMemory) {
  put("/proc/meminfo", "MemTotal:       1000 kB\nMemFree: 10 kB\nMemAvailable:    800 kB\n");
  put("/proc/self/status", "Name:\tx\nVmPeak:\t  999 kB\nVmHWM:\t  300 kB\n");
  put("/proc/self/statm", "765 2 414 5 0 123 0\n");
  const auto memory = read_host_memory(root_).value();
  EXPECT_EQ(memory.total_bytes, 1000 * kKiB);
  EXPECT_EQ(memory.available_bytes, 800 * kKiB);
  EXPECT_EQ(memory.cgroup_limit_bytes, 0u);
  EXPECT_EQ(memory.process_resident_bytes, 2u * static_cast<uint64_t>(getpagesize()));
  EXPECT_EQ(memory.process_peak_resident_bytes, 300 * kKiB);
  EXPECT_EQ(memory.free_bytes(), 800 * kKiB);
}

TEST_F(MachineFacts, NoProcIsAnError) {
  const auto memory = read_host_memory(root_);
  ASSERT_FALSE(memory.has_value());
  EXPECT_EQ(memory.error().code, ErrorCode::kMachine);
}

TEST_F(MachineFacts, VersionOneCountsItsReclaimableCacheOut) {
  put("/proc/self/cgroup", "5:devices:/a\n4:cpu,memory:/a/b\n0::/\n");
  put("/proc/self/mountinfo",
      "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw\n"
      "32 31 0:29 / /sys/fs/cgroup/devices rw shared:9 - cgroup cgroup rw,devices\n"
      "35 31 0:32 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,cpu,memory\n");
  const std::string folder = "/sys/fs/cgroup/memory";
  put(folder + "/memory.limit_in_bytes", "9223372036854771712\n");
  put(folder + "/memory.usage_in_bytes", "5000\n");
  put(folder + "/a/memory.limit_in_bytes", "9223372036854771712\n");
  put(folder + "/a/memory.usage_in_bytes", "5000\n");
  put(folder + "/a/b/memory.limit_in_bytes", "88080384\n");
  put(folder + "/a/b/memory.usage_in_bytes", "50000\n");
  put(folder + "/a/b/memory.stat",
      "inactive_file 7\nactive_file 8\ntotal_inactive_file 10000\ntotal_active_file 20000\n");
  const auto memory = read_cgroup_memory(root_);
  EXPECT_EQ(memory.limit_bytes, 88080384u);
  EXPECT_EQ(memory.usage_bytes, 20000u);
}

TEST_F(MachineFacts, VersionTwoTakesTheTightestAncestor) {
  put("/proc/self/cgroup", "0::/a/b/c\n");
  put("/proc/self/mountinfo", "35 31 0:32 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  put_version_2("/a/b/c", "max", 100);
  put_version_2("/a/b", "10000", 1000);
  put_version_2("/a", "11000", 9000);
  put("/sys/fs/cgroup/a/memory.stat", "anon 1\ninactive_file 2000\nactive_file 500\n");
  const auto memory = read_cgroup_memory(root_);
  EXPECT_EQ(memory.limit_bytes, 11000u);
  EXPECT_EQ(memory.usage_bytes, 6500u);
}

TEST_F(MachineFacts, VersionTwoKnowsASoftLimit) {
  put("/proc/self/cgroup", "0::/\n");
  put("/proc/self/mountinfo", "35 31 0:32 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  put_version_2("", "20000", 100);
  put("/sys/fs/cgroup/memory.high", "15000\n");
  EXPECT_EQ(read_cgroup_memory(root_).limit_bytes, 15000u);
}

TEST_F(MachineFacts, AContainerMountsOnlyItsOwnPart) {
  put("/proc/self/cgroup", "4:memory:/docker/0123/inner\n");
  put("/proc/self/mountinfo",
      "35 31 0:32 /docker/0123 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n");
  put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "4096\n");
  put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "96\n");
  const auto memory = read_cgroup_memory(root_);
  EXPECT_EQ(memory.limit_bytes, 4096u);
  EXPECT_EQ(memory.usage_bytes, 96u);
}

TEST_F(MachineFacts, FreeBytesStopAtTheCgroupsLimit) {
  HostMemory memory{.available_bytes = 1000};
  EXPECT_EQ(memory.free_bytes(), 1000u);
  memory.cgroup_limit_bytes = 500;
  memory.cgroup_usage_bytes = 100;
  EXPECT_EQ(memory.free_bytes(), 400u);
  memory.cgroup_usage_bytes = 600;
  EXPECT_EQ(memory.free_bytes(), 0u);
  memory.cgroup_limit_bytes = 5000;
  EXPECT_EQ(memory.free_bytes(), 1000u);
}

TEST_F(MachineFacts, NamesTheProcessor) {
  put("/proc/cpuinfo", "processor\t: 0\nmodel\t\t: 17\nmodel name\t: AMD EPYC 9B14 96-Core\n");
  EXPECT_EQ(read_processor(root_).name, "AMD EPYC 9B14 96-Core");
  put("/proc/cpuinfo", "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd4f\n");
  EXPECT_TRUE(read_processor(root_).name.ends_with("(implementer 0x41, part 0xd4f)"));
  std::filesystem::remove(root_ + "/proc/cpuinfo");
  EXPECT_FALSE(read_processor(root_).name.empty());
}

TEST_F(MachineFacts, TheIdFollowsTheMachine) {
  put("/proc/cpuinfo", "model name : one\n");
  put("/proc/meminfo", "MemTotal: 16384000 kB\n");
  const std::string id = read_machine_id(root_);
  put("/proc/meminfo", "MemTotal: 16383000 kB\n");  // another boot
  EXPECT_EQ(read_machine_id(root_), id);
  put("/etc/machine-id", "0123\n");
  const std::string named = read_machine_id(root_);
  EXPECT_NE(named, id);
  put("/proc/meminfo", "MemTotal: 32768000 kB\n");
  EXPECT_NE(read_machine_id(root_), named);
}

TEST(Text, FindsNumbersAtTheStartOfALine) {
  EXPECT_EQ(number_after("a_b 1\nb 2\n", "b "), 2u);
  EXPECT_EQ(number_after("max\n", ""), std::nullopt);
  EXPECT_EQ(number_after("", "b"), std::nullopt);
  EXPECT_EQ(value_after("b:\t\n", "b").value(), "");
}

}  // namespace
}  // namespace spillway::platform

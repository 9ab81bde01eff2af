// Each finding on a machine that has its trouble, and not on one that has not.
#include "machine/doctor.h"

#include <gmock/gmock.h>

#include "base/units.h"
#include "platform/simulated/simulated_gpu.h"

namespace spillway::machine {
namespace {

using platform::GpuInfo;
using testing::AllOf;
using testing::Field;
using testing::HasSubstr;

GpuInfo gpu_of(const platform::SimulatedGpuOptions& options) {
  return platform::simulated_gpu_info(options);
}

std::vector<unsigned> range(unsigned first, unsigned last) {
  std::vector<unsigned> numbers;
  for (unsigned number = first; number <= last; ++number) numbers.push_back(number);
  return numbers;
}

// Two processors, a GPU at the first, everything as it should be; bound to that processor.
Facts healthy() {
  Facts facts;
  facts.memory = {.total_bytes = 128 * kGiB, .available_bytes = 100 * kGiB};
  facts.host.huge_page_bytes = 2 * kMiB;
  facts.host.huge_pages = "madvise";
  facts.host.huge_page_defrag = "madvise";
  facts.host.lock_limit_bytes = 8 * kMiB;
  facts.host.kernel_release = "6.1.0-18-amd64";
  facts.host.nodes = {{.id = 0, .cpus = range(0, 15), .total_bytes = 64 * kGiB},
                      {.id = 1, .cpus = range(16, 31), .total_bytes = 64 * kGiB}};
  facts.host.allowed_cpus = range(0, 15);
  facts.host.allowed_nodes = {0, 1};
  facts.host.memory_policy = "default";
  facts.host.nvidia_module = "580.65.06";
  facts.gpus.emplace_back(gpu_of({.name = "NVIDIA H100"}));
  return facts;
}

// As published: node 1 is the GPU's memory.
Facts grace_hopper() {
  Facts facts = healthy();
  facts.memory.total_bytes = 570 * kGiB;
  facts.host.page_bytes = 64 * kKiB;
  facts.host.huge_page_bytes = 512 * kMiB;
  facts.host.nodes = {{.id = 0, .cpus = range(0, 71), .total_bytes = 480 * kGiB},
                      {.id = 1,
                       .cpus = {},
                       .total_bytes = 95 * kGiB,
                       .available_bytes = 90 * kGiB,
                       .cache_bytes = 7 * kGiB}};
  facts.host.allowed_cpus = range(0, 71);
  facts.gpus = {gpu_of({.coherent = true, .device_node = 1, .name = "NVIDIA GH200"})};
  return facts;
}

// The only finding, or one that says that it is not.
Finding only(const Facts& facts) {
  const auto findings = diagnose(facts);
  if (findings.size() == 1) return findings.front();
  std::string names;
  for (const Finding& finding : findings) names += finding.name + " ";
  return {.name = fmt::format("{} findings: {}", findings.size(), names)};
}

TEST(Doctor, FindsNothingOnAHealthyMachine) {
  EXPECT_TRUE(diagnose(healthy()).empty()) << only(healthy()).name;
}

TEST(Doctor, FindsNothingWhereNothingIsTold) {
  EXPECT_TRUE(diagnose(Facts{}).empty()) << only(Facts{}).name;
}

TEST(Doctor, HugePagesOff) {
  Facts facts = healthy();
  facts.host.huge_pages = "never";
  const Finding finding = only(facts);
  EXPECT_EQ(finding.name, "huge-pages");
  EXPECT_EQ(finding.severity, Severity::kCost);
  EXPECT_THAT(finding.what, HasSubstr("never"));
  EXPECT_THAT(finding.why, HasSubstr("4.0 KiB"));
  EXPECT_EQ(finding.mend, "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled");
}

TEST(Doctor, HugePagesRefusedToThisProcess) {
  Facts facts = healthy();
  facts.host.huge_pages_refused = true;
  EXPECT_THAT(only(facts), AllOf(Field(&Finding::name, "huge-pages"),
                                 Field(&Finding::what, HasSubstr("THP_enabled: 0")),
                                 Field(&Finding::mend, HasSubstr("PR_SET_THP_DISABLE"))));
}

TEST(Doctor, HugePagesWithoutRoom) {
  Facts facts = healthy();
  facts.host.huge_page_defrag = "never";
  EXPECT_THAT(only(facts), AllOf(Field(&Finding::name, "huge-pages-defrag"),
                                 Field(&Finding::what, HasSubstr("defrag is never")),
                                 Field(&Finding::mend, HasSubstr("defrag"))));
  facts.host.huge_page_defrag = "defer+madvise";
  EXPECT_TRUE(diagnose(facts).empty());
}

TEST(Doctor, ASmallLockLimitCostsSomethingOnOldKernelsOnly) {
  Facts facts = healthy();
  facts.host.lock_limit_bytes = 64 * kKiB;
  facts.host.kernel_release = "5.10.0-28-amd64";
  const Finding old = only(facts);
  EXPECT_EQ(old.name, "lock-limit");
  EXPECT_EQ(old.severity, Severity::kCost);
  EXPECT_THAT(old.what, AllOf(HasSubstr("64.0 KiB"), HasSubstr("5.10.0-28-amd64")));
  EXPECT_THAT(old.mend, HasSubstr("memlock"));
  facts.host.kernel_release = "5.12.0";
  EXPECT_THAT(only(facts), AllOf(Field(&Finding::name, "lock-limit"),
                                 Field(&Finding::severity, Severity::kNote)));
  facts.host.ignores_lock_limit = true;
  EXPECT_TRUE(diagnose(facts).empty());
}

TEST(Doctor, NoLockLimit) {
  Facts facts = healthy();
  facts.host.lock_limit_bytes = std::nullopt;
  facts.host.kernel_release = "5.10.0-28-amd64";
  EXPECT_TRUE(diagnose(facts).empty());
}

TEST(Doctor, ACgroupBelowTheMachine) {
  Facts facts = healthy();
  facts.memory.cgroup_limit_bytes = 32 * kGiB;
  facts.memory.cgroup_usage_bytes = 2 * kGiB;
  facts.host.cgroup_limit_file = "/sys/fs/cgroup/a/memory.max";
  const Finding finding = only(facts);
  EXPECT_EQ(finding.name, "cgroup");
  EXPECT_THAT(finding.what,
              AllOf(HasSubstr("32.0 GiB"), HasSubstr("128.0 GiB"), HasSubstr("2.0 GiB")));
  EXPECT_THAT(finding.why, AllOf(HasSubstr("30.0 GiB"), HasSubstr("kills")));
  EXPECT_THAT(finding.mend, HasSubstr("echo max | sudo tee /sys/fs/cgroup/a/memory.max"));
  facts.host.cgroup_limit_file = "/sys/fs/cgroup/a/memory.high";
  EXPECT_THAT(only(facts).why, HasSubstr("slows down"));
  facts.host.cgroup_limit_file = "/sys/fs/cgroup/memory/a/memory.limit_in_bytes";
  EXPECT_THAT(only(facts).mend, HasSubstr("echo -1 | sudo tee /sys/fs/cgroup/memory/a/"));
  facts.memory.cgroup_limit_bytes = 128 * kGiB;
  EXPECT_TRUE(diagnose(facts).empty());
}

TEST(Doctor, LargePages) {
  Facts facts = healthy();
  facts.host.page_bytes = 64 * kKiB;
  facts.host.huge_page_bytes = 512 * kMiB;
  const Finding finding = only(facts);
  EXPECT_EQ(finding.name, "page-size");
  EXPECT_EQ(finding.severity, Severity::kNote);
  EXPECT_THAT(finding.what, HasSubstr("64.0 KiB"));
  EXPECT_THAT(finding.why, HasSubstr("512.0 MiB"));
  EXPECT_EQ(finding.mend, "");
}

TEST(Doctor, WindowsBelow) {
  Facts facts = healthy();
  facts.host.wsl = true;
  facts.host.kernel_release = "5.15.153.1-microsoft-standard-WSL2";
  EXPECT_THAT(only(facts),
              AllOf(Field(&Finding::name, "wsl"),
                    Field(&Finding::what, AllOf(HasSubstr("5.15.153.1"), HasSubstr("128.0 GiB"))),
                    Field(&Finding::mend, HasSubstr("wsl --shutdown"))));
}

TEST(Doctor, AnOldDriver) {
  Facts facts = healthy();
  facts.host.nvidia_module = "550.54.15";
  facts.gpus = {gpu_of({.driver_version = 12040})};
  const Finding finding = only(facts);
  EXPECT_EQ(finding.name, "old-driver");
  EXPECT_THAT(finding.what, AllOf(HasSubstr("550.54.15"), HasSubstr("CUDA 12.4")));
  EXPECT_THAT(finding.why, HasSubstr("12.8"));
  EXPECT_THAT(finding.mend, HasSubstr("580"));
  facts.gpus = {gpu_of({.driver_version = 12080})};
  EXPECT_TRUE(diagnose(facts).empty());
}

TEST(Doctor, NoHandlesInHostMemory) {
  Facts facts = healthy();
  facts.gpus = {gpu_of({.host_handles = false, .driver_version = 12080})};
  const Finding old = only(facts);
  EXPECT_EQ(old.name, "host-handles");
  EXPECT_THAT(old.why, AllOf(HasSubstr("all in HBM or all in host memory"), HasSubstr("12.9")));
  EXPECT_THAT(old.mend, HasSubstr("580"));
  facts.gpus = {gpu_of({.host_handles = false, .driver_version = 13000})};
  EXPECT_THAT(only(facts).mend, HasSubstr("--cap-add SYS_NICE"));
}

TEST(Doctor, AGpuThatCannotBeUsedComesFirst) {
  Facts facts = healthy();
  facts.host.huge_pages = "never";
  facts.gpus.emplace_back(tl::make_unexpected(Error{ErrorCode::kMachine, "it is lost"}));
  const auto findings = diagnose(facts);
  ASSERT_EQ(findings.size(), 2u);
  EXPECT_EQ(findings[0].name, "gpu-unusable");
  EXPECT_EQ(findings[0].severity, Severity::kBroken);
  EXPECT_EQ(findings[0].what, "GPU 1 cannot be used: it is lost");
  EXPECT_EQ(findings[1].name, "huge-pages");
}

TEST(Doctor, NoGpuIsATroubleOnlyWhereTheDriverIsLoaded) {
  Facts facts = healthy();
  facts.gpus.clear();
  facts.why_no_gpus = "there is no driver here";
  EXPECT_THAT(only(facts),
              AllOf(Field(&Finding::name, "gpu-unusable"),
                    Field(&Finding::what,
                          AllOf(HasSubstr("580.65.06"), HasSubstr("there is no driver here")))));
  facts.host.nvidia_module = "";
  EXPECT_TRUE(diagnose(facts).empty());
}

TEST(Doctor, BoundToTheOtherProcessor) {
  Facts facts = healthy();
  facts.gpus = {gpu_of({.host_node = 1, .name = "NVIDIA H100"})};
  const Finding finding = only(facts);
  EXPECT_EQ(finding.name, "numa-node");
  EXPECT_EQ(finding.severity, Severity::kCost);
  EXPECT_THAT(finding.what, AllOf(HasSubstr("NVIDIA H100"), HasSubstr("NUMA node 1"),
                                  HasSubstr("node 0 (CPUs 0-15)")));
  EXPECT_EQ(finding.mend, "numactl --cpunodebind=1 --preferred=1 spillway …");
  facts.host.allowed_nodes = {0};
  EXPECT_THAT(only(facts).mend, HasSubstr("--cpuset-cpus 16-31 --cpuset-mems 1"));
}

TEST(Doctor, MemoryBoundToTheOtherProcessor) {
  Facts facts = healthy();
  facts.host.memory_policy = "bind:1";
  EXPECT_THAT(only(facts),
              AllOf(Field(&Finding::name, "numa-node"), Field(&Finding::severity, Severity::kCost),
                    Field(&Finding::what, HasSubstr("memory of node 1"))));
  facts.host.memory_policy = "prefer:0";
  EXPECT_TRUE(diagnose(facts).empty());
  facts.host.memory_policy = "interleave:0-1";
  EXPECT_TRUE(diagnose(facts).empty());
}

TEST(Doctor, BoundNowhere) {
  Facts facts = healthy();
  facts.host.allowed_cpus = range(0, 31);
  EXPECT_THAT(only(facts),
              AllOf(Field(&Finding::name, "numa-node"), Field(&Finding::severity, Severity::kNote),
                    Field(&Finding::what, HasSubstr("nodes 0-1")),
                    Field(&Finding::mend, HasSubstr("--cpunodebind=0"))));
}

TEST(Doctor, AGpuWhoseNodeIsUnknownHasNoWrongOne) {
  Facts facts = healthy();
  facts.gpus = {gpu_of({.host_node = -1})};
  EXPECT_TRUE(diagnose(facts).empty());
}

TEST(Doctor, HbmAsANumaNode) {
  const auto findings = diagnose(grace_hopper());
  ASSERT_EQ(findings.size(), 2u);
  const Finding& finding = findings[0];
  EXPECT_EQ(finding.name, "hbm-as-numa-node");
  EXPECT_EQ(finding.severity, Severity::kCost);
  EXPECT_THAT(finding.what, AllOf(HasSubstr("NVIDIA GH200"), HasSubstr("NUMA node 1"),
                                  HasSubstr("95.0 GiB"), HasSubstr("7.0 GiB are page cache")));
  EXPECT_THAT(finding.mend, AllOf(HasSubstr("NVreg_CoherentGPUMemoryMode=driver"),
                                  HasSubstr("numactl --membind=0 ")));
  EXPECT_EQ(findings[1].name, "page-size");
}

TEST(Doctor, AGraceHopperWhoseDriverKeepsItsMemory) {
  Facts facts = grace_hopper();
  facts.host.nodes.pop_back();
  facts.gpus = {gpu_of({.coherent = true})};
  EXPECT_EQ(only(facts).name, "page-size");
}

}  // namespace
}  // namespace spillway::machine

// The memory limits that cgroups v1 and v2 put on this process.
#include <algorithm>

#include "platform/linux/machine_facts.h"
#include "platform/linux/text.h"

namespace spillway::platform {
namespace {

// v1 writes "no limit" as the largest multiple of a page.
constexpr uint64_t kNoLimit = uint64_t{1} << 62;

// How a version of cgroups names things.
struct Version {
  std::string_view mount_type;
  std::vector<const char*> limits;
  const char* usage;
  std::vector<const char*> reclaimable;  // in memory.stat, descendants counted
};

const Version& version_1() {
  static const Version version{"cgroup",
                               {"memory.limit_in_bytes"},
                               "memory.usage_in_bytes",
                               {"total_inactive_file ", "total_active_file "}};
  return version;
}

// Above memory.high a process is not killed but slowed down to a crawl: a limit all the same.
const Version& version_2() {
  static const Version version{"cgroup2",
                               {"memory.max", "memory.high"},
                               "memory.current",
                               {"inactive_file ", "active_file "}};
  return version;
}

struct Mount {
  std::string root;   // which part of the hierarchy is mounted
  std::string point;  // where
};

bool has(const std::vector<std::string_view>& parts, std::string_view part) {
  return std::find(parts.begin(), parts.end(), part) != parts.end();
}

// Lines of mountinfo: "35 31 0:32 /root /mount/point rw,relatime shared:1 - type source options".
std::optional<Mount> find_mount(std::string_view mountinfo, const Version& version) {
  for (std::string_view line : split(mountinfo, '\n')) {
    const size_t dash = line.find(" - ");
    if (dash == std::string_view::npos) continue;
    const auto left = split(line.substr(0, dash), ' ');
    const auto right = split(line.substr(dash + 3), ' ');
    if (left.size() < 5 || right.empty() || right.front() != version.mount_type) continue;
    if (version.mount_type == "cgroup" && !has(split(right.back(), ','), "memory")) continue;
    return Mount{std::string(left[3]), std::string(left[4])};
  }
  return std::nullopt;
}

// Lines of /proc/self/cgroup: "4:memory:/path" in v1, "0::/path" in v2.
std::optional<std::string> find_path(std::string_view cgroups, const Version& version) {
  for (std::string_view line : split(cgroups, '\n')) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    const bool ours = version.mount_type == "cgroup" ? has(split(controllers, ','), "memory")
                                                     : controllers.empty();
    if (ours) return std::string(line.substr(second + 1));
  }
  return std::nullopt;
}

// `inner` is the cgroup's folder without `root`.
CgroupMemory read_one(const std::string& root, const std::string& inner, const Version& version) {
  CgroupMemory memory;
  const std::string folder = root + inner;
  uint64_t limit = kNoLimit;
  for (const char* name : version.limits) {
    const auto found = number_after(read_text(folder + "/" + name), "");
    if (!found || *found >= limit) continue;
    limit = *found;
    memory.limit_file = inner + "/" + name;
  }
  if (limit == kNoLimit) return memory;
  memory.limit_bytes = limit;
  const uint64_t usage = number_after(read_text(folder + "/" + version.usage), "").value_or(0);
  const std::string statistics = read_text(folder + "/memory.stat");
  uint64_t reclaimable = 0;
  for (const char* key : version.reclaimable) {
    reclaimable += number_after(statistics, key).value_or(0);
  }
  memory.usage_bytes = usage - std::min(usage, reclaimable);
  return memory;
}

uint64_t left(const CgroupMemory& memory) {
  if (memory.limit_bytes == 0) return kNoLimit;
  return memory.limit_bytes - std::min(memory.limit_bytes, memory.usage_bytes);
}

CgroupMemory read_tightest(const std::string& root, const Version& version) {
  CgroupMemory tightest;
  const auto mount = find_mount(read_text(root + "/proc/self/mountinfo"), version);
  auto path = find_path(read_text(root + "/proc/self/cgroup"), version);
  if (!mount || !path) return tightest;
  // In a container the process may be named by its path outside, of which only the end is mounted.
  if (mount->root != "/") {
    *path = path->starts_with(mount->root) ? path->substr(mount->root.size()) : "";
  }
  for (std::string inner = *path;; inner.resize(inner.rfind('/'))) {
    const CgroupMemory memory = read_one(root, mount->point + inner, version);
    if (left(memory) < left(tightest)) tightest = memory;
    if (inner.empty() || inner.find('/') == std::string::npos) return tightest;
  }
}

}  // namespace

CgroupMemory read_cgroup_memory(const std::string& root) {
  const CgroupMemory first = read_tightest(root, version_1());
  const CgroupMemory second = read_tightest(root, version_2());
  return left(first) < left(second) ? first : second;
}

}  // namespace spillway::platform

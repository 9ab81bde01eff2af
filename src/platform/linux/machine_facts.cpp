#include "platform/linux/machine_facts.h"

#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "base/units.h"
#include "platform/linux/text.h"

namespace spillway::platform {
namespace {

// FNV-1a: the id must not change with the compiler's library, as std::hash may.
uint64_t hash(std::string_view text) {
  uint64_t value = 0xcbf29ce484222325;
  for (char c : text) value = (value ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return value;
}

// Arm's cpuinfo has no name, only the numbers that its maker and design have.
std::string processor_name(const std::string& cpuinfo) {
  if (const auto name = value_after(cpuinfo, "model name")) return std::string(*name);
  utsname system{};
  uname(&system);
  const auto maker = value_after(cpuinfo, "CPU implementer");
  const auto design = value_after(cpuinfo, "CPU part");
  if (!maker || !design) return system.machine;
  return fmt::format("{} (implementer {}, part {})", system.machine, *maker, *design);
}

// sched_getaffinity wants a set that is large enough for the machine, whose size nobody tells.
unsigned allowed_cores() {
  constexpr size_t kMostCores = 1 << 16;
  for (size_t cores = CPU_SETSIZE; cores <= kMostCores; cores *= 2) {
    std::vector<cpu_set_t> set(cores / CPU_SETSIZE);
    const size_t set_bytes = set.size() * sizeof(cpu_set_t);
    if (sched_getaffinity(0, set_bytes, set.data()) != 0) continue;
    return static_cast<unsigned>(std::max(CPU_COUNT_S(set_bytes, set.data()), 1));
  }
  return 1;
}

}  // namespace

Result<HostMemory> read_host_memory(const std::string& root) {
  const std::string meminfo = read_text(root + "/proc/meminfo");
  const auto total = number_after(meminfo, "MemTotal:");
  const auto available = number_after(meminfo, "MemAvailable:");
  if (!total || !available) {
    return fail(ErrorCode::kMachine,
                "{}/proc/meminfo does not tell MemTotal and MemAvailable; is /proc mounted?", root);
  }
  const std::string status = read_text(root + "/proc/self/status");
  // statm: the second number is the resident pages.
  const std::string statm = read_text(root + "/proc/self/statm");
  const auto resident = number_after(statm.substr(std::min(statm.find(' '), statm.size())), "");
  const CgroupMemory cgroup = read_cgroup_memory(root);
  HostMemory memory{
      .total_bytes = *total * kKiB,
      .available_bytes = *available * kKiB,
      .cgroup_limit_bytes = cgroup.limit_bytes,
      .cgroup_usage_bytes = cgroup.usage_bytes,
      .process_resident_bytes = resident.value_or(0) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)),
      .process_peak_resident_bytes = number_after(status, "VmHWM:").value_or(0) * kKiB,
  };
  // The kernel updates the peak lazily.
  memory.process_peak_resident_bytes =
      std::max(memory.process_peak_resident_bytes, memory.process_resident_bytes);
  return memory;
}

Processor read_processor(const std::string& root) {
  return {processor_name(read_text(root + "/proc/cpuinfo")), allowed_cores()};
}

std::string read_machine_id(const std::string& root) {
  const uint64_t total_bytes =
      number_after(read_text(root + "/proc/meminfo"), "MemTotal:").value_or(0) * kKiB;
  // All cores, not those allowed: a process that is bound to some is still on this machine. Whole
  // GiB: what the kernel keeps for itself changes from boot to boot.
  const std::string facts =
      fmt::format("{}|{}|{}|{}", read_text(root + "/etc/machine-id"),
                  processor_name(read_text(root + "/proc/cpuinfo")), sysconf(_SC_NPROCESSORS_CONF),
                  (total_bytes + kGiB / 2) / kGiB);
  return fmt::format("linux-{:016x}", hash(facts));
}

}  // namespace spillway::platform

// Checks of the host by itself: pages, limits, the kernel.
#include <cstdio>

#include "base/units.h"
#include "machine/doctor_checks.h"

namespace spillway::machine {
namespace {

constexpr const char* kHugePageFolder = "/sys/kernel/mm/transparent_hugepage";

// Up to Linux 5.11 the rings of io_uring count against ulimit -l, those of all programs of a user
// together; one of ours takes 2 to 4 pages. 64 KiB was the usual limit then, and did not go far.
// NVIDIA's driver counts nothing against it: 16 GiB were pinned under a limit of 64 KiB, without
// CAP_IPC_LOCK, on driver 580; and kernel-open/nvidia/os-mlock.c of its source asks for no limit.
constexpr int kRingsAreFreeSince = 512;  // 5.12, as version_of() has it
constexpr uint64_t kSmallLockLimit = kMiB;

constexpr size_t kUsualPageBytes = 4 * kKiB;

// "6.1.0-18-amd64" → 601; 0 if it is no such text.
int version_of(const std::string& release) {
  int major = 0;
  int minor = 0;
  if (std::sscanf(release.c_str(), "%d.%d", &major, &minor) != 2) return 0;
  return major * 100 + minor;
}

std::string set_command(const char* value, std::string_view file) {
  return fmt::format("echo {} | sudo tee {}", value, file);
}

}  // namespace

Findings check_huge_pages(const Facts& facts) {
  const platform::HostFacts& host = facts.host;
  // docs/results/memory-h100.md
  const std::string why = fmt::format(
      "pinned host memory then consists of pages of {}: on an H100's host 16 GiB of it were ready "
      "for the GPU at 10 GB/s, at 19 with huge pages",
      format_size(host.page_bytes));
  if (host.huge_pages == "never") {
    return {{.name = "huge-pages",
             .what = "transparent huge pages are off (never)",
             .why = why,
             .mend = set_command("madvise", fmt::format("{}/enabled", kHugePageFolder))}};
  }
  if (host.huge_pages_refused) {
    return {{.name = "huge-pages",
             .what = fmt::format("this process gets no huge pages (THP_enabled: 0), although the "
                                 "system has them ({})",
                                 host.huge_pages),
             .why = why,
             .mend = "start it without what sets PR_SET_THP_DISABLE (a launcher, a container)"}};
  }
  if (!host.huge_pages.empty() && host.huge_page_defrag == "never") {
    return {
        {.name = "huge-pages-defrag",
         .what = fmt::format("huge pages are {}, but the kernel makes no room for them (defrag "
                             "is never)",
                             host.huge_pages),
         .why = fmt::format("once free memory has gone to pieces, pinned host memory consists of "
                            "pages of {} without a word",
                            format_size(host.page_bytes)),
         .mend = set_command("madvise", fmt::format("{}/defrag", kHugePageFolder))}};
  }
  return {};
}

Findings check_lock_limit(const Facts& facts) {
  const platform::HostFacts& host = facts.host;
  const bool small = host.lock_limit_bytes && *host.lock_limit_bytes < kSmallLockLimit;
  if (!small || host.ignores_lock_limit) return {};
  const int version = version_of(host.kernel_release);
  const bool rings_count = version > 0 && version < kRingsAreFreeSince;
  Finding finding{.name = "lock-limit",
                  .what = fmt::format("ulimit -l is {}, with Linux {}",
                                      format_size(*host.lock_limit_bytes), host.kernel_release),
                  .mend =
                      "echo '* - memlock unlimited' | sudo tee /etc/security/limits.d/"
                      "memlock.conf, and log in again; docker run --ulimit memlock=-1"};
  if (rings_count) {
    finding.why =
        "before Linux 5.12 the rings of io_uring count against it: where they do not "
        "fit, files are read by threads instead";
  } else {
    finding.severity = Severity::kNote;
    finding.why =
        "Spillway needs none of it: it locks no pages, NVIDIA's driver does not count "
        "those that it pins, and Linux 5.12 and newer do not count the rings of io_uring; "
        "what locks memory beside it (RDMA, registered buffers) may need more";
  }
  return {finding};
}

Findings check_cgroup(const Facts& facts) {
  const platform::HostMemory& memory = facts.memory;
  const uint64_t limit = memory.cgroup_limit_bytes;
  if (limit == 0 || limit >= memory.total_bytes) return {};
  const std::string& file = facts.host.cgroup_limit_file;
  const bool first_version = file.ends_with("limit_in_bytes");
  const bool soft = file.ends_with("memory.high");
  std::string mend = "docker update --memory SIZE --memory-swap SIZE CONTAINER";
  if (!file.empty()) mend = set_command(first_version ? "-1" : "max", file) + "; " + mend;
  return {{.name = "cgroup",
           .what = fmt::format("a cgroup lets this process use {} of the machine's {}, {} of that "
                               "is in use",
                               format_size(limit), format_size(memory.total_bytes),
                               format_size(memory.cgroup_usage_bytes)),
           .why = fmt::format("budgets have to fit into what is left, {}; beyond the limit the "
                              "kernel {} the process",
                              format_size(memory.free_bytes()), soft ? "slows down" : "kills"),
           .mend = mend}};
}

Findings check_page_size(const Facts& facts) {
  const platform::HostFacts& host = facts.host;
  if (host.page_bytes <= kUsualPageBytes) return {};
  std::string why = fmt::format("it works, and pages are found faster; sizes are rounded up to {}",
                                format_size(host.page_bytes));
  if (host.huge_page_bytes > 0) {
    why += fmt::format(", and only pinned memory of {} and more gets huge pages",
                       format_size(host.huge_page_bytes));
  }
  return {{.name = "page-size",
           .severity = Severity::kNote,
           .what = fmt::format("pages are {}", format_size(host.page_bytes)),
           .why = why}};
}

Findings check_wsl(const Facts& facts) {
  if (!facts.host.wsl) return {};
  return {
      {.name = "wsl",
       .what = fmt::format("this is Windows' subsystem for Linux (kernel {}), with {} of memory",
                           facts.host.kernel_release, format_size(facts.memory.total_bytes)),
       .why = "NVIDIA documents that pinned memory is limited there; by default Linux gets half "
              "of Windows' memory; files under /mnt/c are read through Windows",
       .mend = "in %UserProfile%\\.wslconfig, below [wsl2]: memory=SIZE, then wsl --shutdown; "
               "keep models in Linux' own file system; or start Linux without Windows"}};
}

}  // namespace spillway::machine

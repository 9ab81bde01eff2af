#include "machine/doctor.h"

#include <algorithm>
#include <array>

#include "machine/doctor_checks.h"

namespace spillway::machine {
namespace {

constexpr std::array kChecks = {
    check_gpus_usable, check_driver, check_host_handles, check_device_nodes, check_bound_elsewhere,
    check_huge_pages,  check_cgroup, check_lock_limit,   check_wsl,          check_page_size};

}  // namespace

std::string_view name_of(Severity severity) {
  constexpr std::array<std::string_view, 3> kNames = {"broken", "cost", "note"};
  return kNames.at(static_cast<size_t>(severity));
}

std::vector<Finding> diagnose(const Facts& facts) {
  Findings findings;
  for (const auto check : kChecks) {
    for (Finding& finding : check(facts)) findings.push_back(std::move(finding));
  }
  std::stable_sort(findings.begin(), findings.end(),
                   [](const Finding& a, const Finding& b) { return a.severity < b.severity; });
  return findings;
}

}  // namespace spillway::machine

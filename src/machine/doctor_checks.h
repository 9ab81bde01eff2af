// The checks that diagnose() runs, each of one kind of trouble. Each finds nothing on a machine
// that does not tell the facts in question. Pure functions; any thread.
#pragma once

#include <vector>

#include "machine/doctor.h"

namespace spillway::machine {

using Findings = std::vector<Finding>;

// doctor_host.cpp
Findings check_huge_pages(const Facts& facts);
Findings check_lock_limit(const Facts& facts);
Findings check_cgroup(const Facts& facts);
Findings check_page_size(const Facts& facts);
Findings check_wsl(const Facts& facts);

// doctor_gpu.cpp
Findings check_gpus_usable(const Facts& facts);
Findings check_driver(const Facts& facts);
Findings check_host_handles(const Facts& facts);

// doctor_numa.cpp
Findings check_bound_elsewhere(const Facts& facts);
Findings check_device_nodes(const Facts& facts);

}  // namespace spillway::machine

// The host's facts out of /proc and /sys. A pure function of the files under `root`, which is ""
// for the real ones and a folder of copies in tests; page_bytes is the caller's to fill in, as no
// file tells it. Any thread.
#pragma once

#include <string>

#include "platform/host_facts.h"

namespace spillway::platform {

HostFacts read_host_facts(const std::string& root);

}  // namespace spillway::platform

// What on a machine will hurt, and the command that mends it. Pure functions of facts, so that a
// described machine can be asked as well as this one. Any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "platform/gpu.h"
#include "platform/platform.h"

namespace spillway::machine {

enum class Severity {
  kBroken,  // something does not work until it is mended
  kCost,    // it costs speed or memory
  kNote     // it works; good to know
};
std::string_view name_of(Severity severity);  // "broken", "cost", "note"

struct Finding {
  std::string name = {};  // of the check, for programs: "huge-pages"
  Severity severity = Severity::kCost;
  std::string what = {};  // is so, with the values
  std::string why = {};   // it hurts, and how much where that was measured
  std::string mend = {};  // a command, or what else to do; "": nothing needs to be done
};

struct Facts {
  platform::HostMemory memory;
  platform::HostFacts host;
  std::vector<Result<platform::GpuInfo>> gpus;  // an error: a GPU that cannot be used
  std::string why_no_gpus;                      // where none could even be counted
};

// The worst first.
std::vector<Finding> diagnose(const Facts& facts);

}  // namespace spillway::machine

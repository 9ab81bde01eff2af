// The GPUs of this machine, for spillway machine and doctor. Any thread.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "platform/gpu.h"

namespace spillway::cli {

struct Gpus {
  std::vector<Result<platform::GpuInfo>> infos;  // an error: one that cannot be used
  std::string why_none;                          // where none could be counted
};

// Opens each for as long as it takes to ask.
Gpus ask_gpus();

// A few lines for people; says why where there are none.
std::string describe(const Gpus& gpus);
nlohmann::ordered_json to_json(const Gpus& gpus);

}  // namespace spillway::cli

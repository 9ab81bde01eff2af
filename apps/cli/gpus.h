// The GPUs of this machine, for spillway machine. Any thread.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace spillway::cli {

// A few lines for people; says why where there are none.
std::string describe_gpus();
nlohmann::ordered_json gpus_json();

}  // namespace spillway::cli

// The host's memory and topology as spillway machine shows them. Pure functions; any thread.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "platform/platform.h"

namespace spillway::cli {

// A few lines for people.
std::string describe(const platform::HostMemory& memory, const platform::HostFacts& facts);
nlohmann::ordered_json to_json(const platform::HostMemory& memory);
nlohmann::ordered_json to_json(const platform::HostFacts& facts);

}  // namespace spillway::cli

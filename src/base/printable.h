// Text that nobody vouches for, made safe to print. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

namespace spillway {

// Printable ASCII as it is, every other byte as \xNN: no terminal obeys it.
std::string printable(std::string_view text);

}  // namespace spillway

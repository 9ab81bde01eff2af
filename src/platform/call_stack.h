// Which thread runs, and how it came here. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace spillway::platform {

// The system's number of the calling thread.
uint64_t thread_id();

// Fills `frames` with return addresses, the caller of this function first; returns how many.
size_t capture_stack(std::span<void*> frames);

// A line per frame: the object file, the function where its symbol is exported, the offset.
std::string describe_stack(std::span<void* const> frames);

}  // namespace spillway::platform

// Words that every part of Spillway's interface uses: results and errors, and a GPU's streams.
// Values; any thread.
#pragma once

#include <string>
#include <tl/expected.hpp>

namespace spillway {

// Why an operation failed, as the program's exit code tells it.
enum class ErrorCode {
  kUsage = 2,         // what the user asked for makes no sense
  kBadFile = 3,       // bytes that we did not write are wrong
  kBudget = 4,        // a budget is too small
  kMachine = 5,       // disk, memory or driver failed
  kInterrupted = 130  // the user stopped it
};

struct Error {
  ErrorCode code;
  std::string message;  // what was wrong, with the values, and what to do
};

// A value, or an Error for the person who runs the program.
template <typename T>
using Result = tl::expected<T, Error>;

// A CUstream, which is also a cudaStream_t: whoever calls us may have made it. Null: the legacy
// default stream.
struct Stream {
  void* native = nullptr;
  bool operator==(const Stream&) const = default;
};

}  // namespace spillway

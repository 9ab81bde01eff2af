// SPILLWAY_CHECK: a broken promise inside our own code ends the program with file, line and reason.
// Never for user input, files or the machine: those are Results (result.h).
#pragma once

#include <cstdio>
#include <cstdlib>

namespace spillway {

[[noreturn]] inline void check_failed(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "%s:%d: bug in spillway: the check '%s' failed\n", file, line, condition);
  std::abort();
}

}  // namespace spillway

#define SPILLWAY_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::spillway::check_failed(__FILE__, __LINE__, #condition))

#ifdef NDEBUG
#define SPILLWAY_DCHECK(condition) static_cast<void>(sizeof(!(condition)))
#else
#define SPILLWAY_DCHECK(condition) SPILLWAY_CHECK(condition)
#endif

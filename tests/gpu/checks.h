// What the programs for a machine with a GPU check with. One thread.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace spillway::testing {

class Checks {
 public:
  // Ends the program at the first that does not hold.
  void check(bool holds, const char* what) {
    if (!holds) {
      std::fprintf(stderr, "FAILED: %s\n", what);
      std::exit(1);
    }
    ++passed_;
  }
  void report() const { std::printf("%d checks passed\n", passed_); }

 private:
  int passed_ = 0;
};

// Whether the body throws it, with a text.
template <typename Exception, typename Body>
bool throws(const Body& body) {
  try {
    body();
  } catch (const Exception& error) {
    return error.what()[0] != '\0';
  }
  return false;
}

}  // namespace spillway::testing

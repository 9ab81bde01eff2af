// Lines that the user types: with editing and history on a terminal, as they come otherwise. One
// thread.
#pragma once

#include <memory>
#include <string>

namespace spillway::cli {

class LineReader {
 public:
  enum class State {
    kLine,
    kInterrupted,  // Ctrl-C: what was typed is dropped
    kEnd           // Ctrl-D, or the input's end
  };
  struct Line {
    State state;
    std::string text;  // without its end
  };

  // From standard input.
  static std::unique_ptr<LineReader> create();
  virtual ~LineReader() = default;
  // `prompt` is shown on a terminal only.
  virtual Line read(const std::string& prompt) = 0;
  virtual bool terminal() const = 0;
};

}  // namespace spillway::cli

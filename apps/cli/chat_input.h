// What the user says next in a chat: a message, or a command. One thread.
#pragma once

#include <string>

#include "cli/line_reader.h"

namespace spillway::cli {

struct ChatInput {
  LineReader::State state;  // kLine: something was said
  bool command = false;     // "/name argument"
  std::string name;         // of the command, without its slash
  std::string text;         // the message, or the command's argument
};

// One line; or several where a line ends with a backslash, or lies between two """. Blank lines are
// passed over. A message that begins with a slash is written with two.
ChatInput read_chat_input(LineReader& lines);

}  // namespace spillway::cli

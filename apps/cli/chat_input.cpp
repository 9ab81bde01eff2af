#include "cli/chat_input.h"

namespace spillway::cli {
namespace {

constexpr const char* kPrompt = "> ";
constexpr const char* kMorePrompt = "… ";
constexpr std::string_view kQuotes = "\"\"\"";
constexpr const char* kBlanks = " \t\n";

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin);
}

// The rest of a text that began with """.
LineReader::Line read_quoted(LineReader& lines, std::string text) {
  while (true) {
    const size_t end = text.find(kQuotes);
    if (end != std::string::npos) {
      if (text.starts_with('\n')) text.erase(0, 1);
      text.erase(text.find(kQuotes));
      if (text.ends_with('\n')) text.pop_back();
      return {LineReader::State::kLine, text};
    }
    LineReader::Line more = lines.read(kMorePrompt);
    // What ends without quotes was said, too.
    if (more.state == LineReader::State::kEnd) return {LineReader::State::kLine, text};
    if (more.state == LineReader::State::kInterrupted) return more;
    text += "\n" + more.text;
  }
}

LineReader::Line read_continued(LineReader& lines, std::string text) {
  while (text.ends_with('\\')) {
    text.back() = '\n';
    LineReader::Line more = lines.read(kMorePrompt);
    if (more.state == LineReader::State::kInterrupted) return more;
    text += more.text;
  }
  return {LineReader::State::kLine, text};
}

ChatInput parse(const std::string& text) {
  ChatInput input{.state = LineReader::State::kLine, .name = {}, .text = text};
  if (!text.starts_with('/')) return input;
  if (text.starts_with("//")) {
    input.text.erase(0, 1);
    return input;
  }
  const size_t end = std::min(text.find_first_of(kBlanks), text.size());
  input.command = true;
  input.name = text.substr(1, end - 1);
  input.text = trimmed(std::string_view(text).substr(end));
  return input;
}

}  // namespace

ChatInput read_chat_input(LineReader& lines) {
  while (true) {
    LineReader::Line line = lines.read(kPrompt);
    const std::string_view begin = trimmed(line.text);
    const bool quoted = begin.starts_with(kQuotes);
    if (quoted) {
      line = read_quoted(lines, std::string(begin.substr(kQuotes.size())));
    } else if (line.text.ends_with('\\')) {
      line = read_continued(lines, line.text);
    }
    if (line.state != LineReader::State::kLine)
      return {.state = line.state, .name = {}, .text = {}};
    if (trimmed(line.text).empty()) continue;
    // What stands in quotes is a message, whatever it begins with.
    if (quoted) return {.state = line.state, .name = {}, .text = line.text};
    return parse(line.text);
  }
}

}  // namespace spillway::cli

// The reader of the log: text that anybody may have written.
#include <array>
#include <charconv>
#include <optional>

#include "base/printable.h"
#include "base/result.h"
#include "spillway/memory/replay.h"

namespace spillway::memory {
namespace {

constexpr std::string_view kHeader = "Thread,Time,Action,Pointer,Size,Stream";
enum Column : size_t { kThread, kTime, kActionName, kPointer, kSize, kStream, kColumns };
using Fields = std::array<std::string_view, kColumns>;

// Takes the next line off the text, without its end.
std::string_view take_line(std::string_view& text) {
  const size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

std::optional<Fields> split(std::string_view line) {
  Fields fields;
  for (size_t i = 0; i < kColumns; ++i) {
    const size_t comma = line.find(',');
    if ((comma == std::string_view::npos) != (i + 1 == kColumns)) return {};
    fields[i] = line.substr(0, comma);
    if (i + 1 < kColumns) line.remove_prefix(comma + 1);
  }
  return fields;
}

std::optional<uint64_t> number(std::string_view text, int base) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

// As printf and ostream write pointers, with and without 0x.
std::optional<uint64_t> address(std::string_view text) {
  if (text == "(nil)") return 0;
  if (text.starts_with("0x") || text.starts_with("0X")) text.remove_prefix(2);
  return number(text, 16);
}

std::optional<LogAction> action(std::string_view text) {
  if (text == "allocate") return LogAction::kAllocate;
  if (text == "allocate failure") return LogAction::kFailure;
  if (text == "free") return LogAction::kFree;
  return {};
}

Result<LogEvent> parse_row(std::string_view line, uint64_t line_number) {
  const auto bad = [line_number](std::string_view what, std::string_view text) {
    return fail(ErrorCode::kBadFile, "line {} of the log: {} '{}'", line_number, what,
                printable(text.substr(0, 80)));
  };
  const std::optional<Fields> fields = split(line);
  if (!fields) return bad("six columns are expected, not", line);
  const auto thread = number((*fields)[kThread], 10);
  if (!thread) return bad("the thread is no number:", (*fields)[kThread]);
  const auto what = action((*fields)[kActionName]);
  if (!what)
    return bad("the action is not allocate, allocate failure or free:", (*fields)[kActionName]);
  const auto pointer = address((*fields)[kPointer]);
  if (!pointer) return bad("the pointer is none:", (*fields)[kPointer]);
  const auto bytes = number((*fields)[kSize], 10);
  if (!bytes) return bad("the size is no number:", (*fields)[kSize]);
  const auto stream = address((*fields)[kStream]);
  if (!stream) return bad("the stream is none:", (*fields)[kStream]);
  return LogEvent{
      .thread = *thread, .action = *what, .pointer = *pointer, .bytes = *bytes, .stream = *stream};
}

}  // namespace

Result<std::vector<LogEvent>> parse_log(std::string_view text) {
  const std::string_view header = take_line(text);
  if (header != kHeader) {
    return fail(ErrorCode::kBadFile, "line 1 of the log: it begins with '{}', not with '{}'",
                printable(header.substr(0, 80)), kHeader);
  }
  std::vector<LogEvent> events;
  for (uint64_t line_number = 2; !text.empty(); ++line_number) {
    const std::string_view line = take_line(text);
    if (line.empty()) continue;
    SPILLWAY_ASSIGN(events.emplace_back(), parse_row(line, line_number));
  }
  return events;
}

}  // namespace spillway::memory

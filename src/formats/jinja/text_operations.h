// What filters and methods of strings share, as Python's str does it. One render, one thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/jinja/runtime.h"

namespace spillway::formats::jinja {

struct Replacement {
  std::string_view old, by;
  int64_t count = -1;  // below 0: all
};
Result<std::string> replace_text(Runtime& runtime, std::string_view text,
                                 const Replacement& replacement);

// At all the line ends that str.splitlines knows.
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends);

enum class Alignment { kLeft, kRight, kCenter };
Result<std::string> justify(Runtime& runtime, std::string_view text, int64_t width,
                            Alignment alignment, std::string_view fill = " ");

// str.format without the formats behind a colon.
Result<std::string> brace_format(Runtime& runtime, std::string_view format,
                                 const Arguments& arguments);

Result<Value> text_list(Runtime& runtime, const std::vector<std::string_view>& parts,
                        SequenceKind kind = SequenceKind::kList);

}  // namespace spillway::formats::jinja

// Case and printability (utf8.h) over the tables of unicode_tables.h.
#include <algorithm>

#include "formats/jinja/unicode_tables.h"
#include "formats/jinja/utf8.h"

namespace spillway::formats::jinja {
namespace {

constexpr char32_t kCapitalSigma = 0x3A3;
constexpr char32_t kFinalSigma = 0x3C2;

const char* find_special(std::span<const SpecialCase> table, char32_t value) {
  const auto it = std::lower_bound(table.begin(), table.end(), value,
                                   [](const SpecialCase& c, char32_t v) { return c.from < v; });
  return it != table.end() && it->from == value ? it->to : nullptr;
}

char32_t map_runs(std::span<const CaseRun> runs, char32_t value) {
  const auto it = std::upper_bound(runs.begin(), runs.end(), value,
                                   [](char32_t v, const CaseRun& run) { return v < run.first; });
  if (it == runs.begin()) return value;
  const CaseRun& run = *(it - 1);
  if (value <= run.last && (value - run.first) % run.step == 0)
    return static_cast<char32_t>(static_cast<int64_t>(value) + run.delta);
  return value;
}

void append_mapped(std::string& out, char32_t value, std::span<const SpecialCase> special,
                   std::span<const CaseRun> runs) {
  if (value < 0x80) {
    out.push_back(static_cast<char>(map_runs(runs, value)));
  } else if (const char* text = find_special(special, value)) {
    out += text;
  } else {
    append_code_point(out, map_runs(runs, value));
  }
}

void append_upper(std::string& out, char32_t value) {
  append_mapped(out, value, kUpperSpecial, kUpperRuns);
}

void append_title(std::string& out, char32_t value) {
  if (const char* text = find_special(kTitleSpecial, value)) {
    out += text;
  } else {
    append_upper(out, value);
  }
}

bool has_upper(char32_t value) {
  return find_special(kUpperSpecial, value) != nullptr || map_runs(kUpperRuns, value) != value;
}

bool has_lower(char32_t value) {
  return find_special(kLowerSpecial, value) != nullptr || map_runs(kLowerRuns, value) != value;
}

// The lower case of the code point at `at`. A capital sigma that ends a word is the one letter
// whose lower case depends on its neighbours.
void append_lower(std::string& out, std::string_view text, size_t at, CodePoint point) {
  if (point.value == kCapitalSigma && at > 0) {
    const size_t next = at + point.size;
    const bool after = is_cased(code_point_at(text, code_point_before(text, at)).value);
    const bool before = next < text.size() && is_cased(code_point_at(text, next).value);
    if (after && !before) return append_code_point(out, kFinalSigma);
  }
  append_mapped(out, point.value, kLowerSpecial, kLowerRuns);
}

}  // namespace

bool is_cased(char32_t value) {
  return has_upper(value) || has_lower(value);
}

bool is_printable(char32_t value) {
  if (value < 0x7F) return value >= 0x20;
  const auto it = std::upper_bound(kPrintableFlips.begin(), kPrintableFlips.end(), value);
  return (it - kPrintableFlips.begin()) % 2 == 1;
}

std::string to_upper(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text, at);
    append_upper(out, point.value);
    at += point.size;
  }
  return out;
}

std::string to_lower(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text, at);
    append_lower(out, text, at, point);
    at += point.size;
  }
  return out;
}

std::string to_title(std::string_view text) {
  std::string out;
  bool inside = false;
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text, at);
    if (inside) {
      append_lower(out, text, at, point);
    } else {
      append_title(out, point.value);
    }
    inside = is_cased(point.value);
    at += point.size;
  }
  return out;
}

std::string to_capitalized(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text, at);
    if (at == 0) {
      append_title(out, point.value);
    } else {
      append_lower(out, text, at, point);
    }
    at += point.size;
  }
  return out;
}

bool is_upper(std::string_view text) {
  bool found = false;
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text, at);
    if (has_upper(point.value)) return false;
    found = found || has_lower(point.value);
    at += point.size;
  }
  return found;
}

bool is_lower(std::string_view text) {
  bool found = false;
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text, at);
    if (has_lower(point.value)) return false;
    found = found || has_upper(point.value);
    at += point.size;
  }
  return found;
}

}  // namespace spillway::formats::jinja

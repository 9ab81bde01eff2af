// json_integer: ranges of integers as digits.
#include <algorithm>

#include "formats/json_expressions.h"

namespace spillway::formats {
namespace {

constexpr int64_t kLargest = 9'999'999'999'999'999;

Expression digit(char first, char last) {
  return Expression::one_of({{static_cast<uint32_t>(first), static_cast<uint32_t>(last)}});
}

Expression any_digits(size_t count) {
  return Expression::repeat(digit('0', '9'), count, count);
}

// Texts of as many digits as both have, from `least` to `most`.
Expression of_equal_length(const std::string& least, const std::string& most) {
  if (least.empty()) return Expression::literal("");
  const size_t rest = least.size() - 1;
  if (least[0] == most[0]) {
    return Expression::sequence({Expression::literal(least.substr(0, 1)),
                                 of_equal_length(least.substr(1), most.substr(1))});
  }
  // The first digit of `least` and what is not below it, all between, the first digit of `most`.
  const bool all_above = least.substr(1) == std::string(rest, '0');
  const bool all_below = most.substr(1) == std::string(rest, '9');
  std::vector<Expression> ways;
  if (!all_above) {
    ways.push_back(Expression::sequence(
        {digit(least[0], least[0]), of_equal_length(least.substr(1), std::string(rest, '9'))}));
  }
  const auto first = static_cast<char>(least[0] + (all_above ? 0 : 1));
  const auto last = static_cast<char>(most[0] - (all_below ? 0 : 1));
  if (first <= last) ways.push_back(Expression::sequence({digit(first, last), any_digits(rest)}));
  if (!all_below) {
    ways.push_back(Expression::sequence(
        {digit(most[0], most[0]), of_equal_length(std::string(rest, '0'), most.substr(1))}));
  }
  return Expression::choice(std::move(ways));
}

// 0 ≤ least ≤ most.
Expression natural(int64_t least, int64_t most) {
  std::vector<Expression> ways;
  const std::string last = std::to_string(most);
  for (std::string from = std::to_string(least); from.size() <= last.size();
       from = "1" + std::string(from.size(), '0')) {
    ways.push_back(
        of_equal_length(from, from.size() < last.size() ? std::string(from.size(), '9') : last));
  }
  return Expression::choice(std::move(ways));
}

}  // namespace

Result<Expression> json_integer(std::optional<int64_t> least, std::optional<int64_t> most) {
  const int64_t low = std::max(least.value_or(-kLargest), -kLargest);
  const int64_t high = std::min(most.value_or(kLargest), kLargest);
  if (low > high) return fail(ErrorCode::kUsage, "no integer lies between the bounds");
  std::vector<Expression> ways;
  if (high >= 0) ways.push_back(natural(std::max<int64_t>(low, 0), high));
  if (low < 0) {
    ways.push_back(Expression::sequence(
        {Expression::literal("-"), natural(std::max<int64_t>(-high, 1), -low)}));
  }
  return Expression::choice(std::move(ways));
}

}  // namespace spillway::formats

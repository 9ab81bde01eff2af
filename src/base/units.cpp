#include "base/units.h"

#include <array>
#include <charconv>
#include <cmath>

namespace spillway {
namespace {

struct Unit {
  std::string_view name;
  double bytes;
};

constexpr double kBinary = 1024.0;
constexpr double kDecimal = 1000.0;

constexpr std::array kUnits = {
    Unit{"", 1},
    Unit{"B", 1},
    Unit{"K", kBinary},
    Unit{"KiB", kBinary},
    Unit{"kB", kDecimal},
    Unit{"KB", kDecimal},
    Unit{"M", kBinary* kBinary},
    Unit{"MiB", kBinary* kBinary},
    Unit{"MB", kDecimal* kDecimal},
    Unit{"G", kBinary* kBinary* kBinary},
    Unit{"GiB", kBinary* kBinary* kBinary},
    Unit{"GB", kDecimal* kDecimal* kDecimal},
    Unit{"T", kBinary* kBinary* kBinary* kBinary},
    Unit{"TiB", kBinary* kBinary* kBinary* kBinary},
    Unit{"TB", kDecimal* kDecimal* kDecimal* kDecimal},
    Unit{"PiB", kBinary* kBinary* kBinary* kBinary* kBinary},
    Unit{"PB", kDecimal* kDecimal* kDecimal* kDecimal* kDecimal},
    Unit{"EiB", kBinary* kBinary* kBinary* kBinary* kBinary* kBinary},
    Unit{"EB", kDecimal* kDecimal* kDecimal* kDecimal* kDecimal* kDecimal},
};

tl::unexpected<Error> not_a_size(std::string_view text) {
  return fail(ErrorCode::kUsage, "'{}' is not a size; write for example 64MiB, 12GiB or 1.5GB",
              text);
}

}  // namespace

Result<uint64_t> parse_size(std::string_view text) {
  double number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number, std::chars_format::fixed);
  if (error != std::errc() || number < 0 || !std::isfinite(number)) return not_a_size(text);
  std::string_view name(rest, static_cast<size_t>(end - rest));
  if (name.starts_with(' ')) name.remove_prefix(1);
  for (const Unit& unit : kUnits) {
    if (name != unit.name) continue;
    const double bytes = number * unit.bytes;
    if (bytes >= 0x1p64) {
      return fail(ErrorCode::kUsage, "the size '{}' is too large; the most is 15EiB", text);
    }
    return static_cast<uint64_t>(bytes);
  }
  return not_a_size(text);
}

std::string format_size(uint64_t bytes) {
  constexpr std::array kNames = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < kKiB) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / kBinary;
  size_t unit = 0;
  while (value >= kBinary && unit + 1 < kNames.size()) {
    value /= kBinary;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kNames[unit]);
}

}  // namespace spillway

// Any bytes as an allocation log: it is refused with a line number, or replayed without harm.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "spillway/memory/replay.h"
#include "support/plain_resource.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto events = spillway::memory::parse_log(text);
  if (!events) {
    if (!std::string_view(events.error().message).starts_with("line ")) std::abort();
    return 0;
  }
  spillway::test::PlainResource plain(spillway::kMiB);
  const spillway::memory::Replay replay(*events);
  const auto result = replay.run(spillway::memory::AnyResource(plain), {});
  if (plain.held_bytes() != 0 || result.frees > result.allocations) std::abort();
  return 0;
}

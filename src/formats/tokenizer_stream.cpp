// StreamDecoder: see tokenizer.h.
#include <algorithm>
#include <utility>

#include "formats/tokenizer.h"
#include "formats/tokenizer_utf8.h"

namespace spillway::formats {
namespace {

// Bytes at the end of `text` that begin a character and do not finish it.
size_t unfinished_bytes(std::string_view text) {
  const size_t longest = std::min<size_t>(text.size(), 3);
  for (size_t size = longest; size > 0; --size) {
    const Utf8Sequence tail = first_utf8(text.substr(text.size() - size));
    if (tail.state == Utf8State::kIncomplete) return size;
  }
  return 0;
}

}  // namespace

std::string StreamDecoder::push(std::string_view piece) {
  std::string text = std::exchange(held_, {});
  text += piece;
  const size_t held = unfinished_bytes(text);
  held_ = text.substr(text.size() - held);
  text.resize(text.size() - held);
  return text;
}

std::string StreamDecoder::finish() {
  return std::exchange(held_, {});
}

}  // namespace spillway::formats

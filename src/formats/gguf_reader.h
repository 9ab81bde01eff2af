// A cursor over a file that nobody vouches for: every read is checked against the bytes that are
// left, through one small buffer, never a mapping. Owned by one parse; one thread.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "platform/platform.h"

namespace spillway::formats {

static_assert(std::endian::native == std::endian::little, "GGUF is read without byte swaps");

// Untrusted text for an error message: printable ASCII in quotes, the rest escaped, long text cut.
std::string in_quotes(std::string_view text);

class GgufReader {
 public:
  explicit GgufReader(const platform::File& file);

  uint64_t position() const { return position_; }
  uint64_t size() const { return size_; }
  uint64_t left() const { return size_ - position_; }
  void seek(uint64_t position);

  template <typename Number>
  Result<Number> read_number(std::string_view field) {
    SPILLWAY_TRY(require(field, sizeof(Number)));
    std::array<std::byte, sizeof(Number)> raw;
    std::memcpy(raw.data(), buffer_.data() + (position_ - buffer_begin_), raw.size());
    position_ += raw.size();
    return std::bit_cast<Number>(raw);
  }

  // A count of things that take at least `bytes_each` (≥ 1) bytes each of what is left.
  Result<uint64_t> read_count(std::string_view field, uint64_t bytes_each);

  // `bytes` must be at most left().
  Result<void> append(std::string& target, uint64_t bytes);
  void skip(uint64_t bytes);

 private:
  // Makes the next `bytes` (≤ 8) lie in the buffer; kBadFile if the file ends before.
  Result<void> require(std::string_view field, uint64_t bytes) {
    if (position_ >= buffer_begin_ && position_ + bytes <= buffer_end_) return {};
    return fill(field, bytes);
  }
  Result<void> fill(std::string_view field, uint64_t bytes);

  const platform::File& file_;
  const uint64_t size_;
  uint64_t position_ = 0;
  std::vector<std::byte> buffer_;  // of the file's [buffer_begin_, buffer_end_)
  uint64_t buffer_begin_ = 0;
  uint64_t buffer_end_ = 0;
};

}  // namespace spillway::formats

#include "formats/gguf_reader.h"

#include "base/check.h"
#include "base/printable.h"
#include "base/units.h"

namespace spillway::formats {
namespace {

constexpr uint64_t kBufferBytes = 64 * kKiB;
constexpr size_t kQuotedBytes = 80;

}  // namespace

std::string in_quotes(std::string_view text) {
  return fmt::format("'{}{}'", printable(text.substr(0, kQuotedBytes)),
                     text.size() > kQuotedBytes ? "…" : "");
}

GgufReader::GgufReader(const platform::File& file)
    : file_(file),
      size_(file.info().size_bytes),
      buffer_(static_cast<size_t>(std::min(kBufferBytes, size_))) {}

void GgufReader::seek(uint64_t position) {
  SPILLWAY_CHECK(position <= size_);
  position_ = position;
}

void GgufReader::skip(uint64_t bytes) {
  SPILLWAY_CHECK(bytes <= left());
  position_ += bytes;
}

Result<uint64_t> GgufReader::read_count(std::string_view field, uint64_t bytes_each) {
  const uint64_t offset = position_;
  SPILLWAY_ASSIGN(const uint64_t count, read_number<uint64_t>(field));
  if (count > left() / bytes_each) {
    return fail(ErrorCode::kBadFile,
                "{} {} at offset {}: the {} bytes that are left in the file hold at most {}", field,
                count, offset, left(), left() / bytes_each);
  }
  return count;
}

Result<void> GgufReader::append(std::string& target, uint64_t bytes) {
  SPILLWAY_CHECK(bytes <= left());
  while (bytes > 0) {
    SPILLWAY_TRY(require("text", 1));
    const uint64_t part = std::min(bytes, buffer_end_ - position_);
    const std::byte* from = buffer_.data() + (position_ - buffer_begin_);
    target.append(reinterpret_cast<const char*>(from), static_cast<size_t>(part));
    position_ += part;
    bytes -= part;
  }
  return {};
}

Result<void> GgufReader::fill(std::string_view field, uint64_t bytes) {
  if (left() < bytes) {
    return fail(ErrorCode::kBadFile,
                "{} at offset {}: {} bytes are needed, but the file ends after {} more; it is "
                "truncated or not a GGUF file",
                field, position_, bytes, left());
  }
  const std::span<std::byte> target =
      std::span(buffer_).first(static_cast<size_t>(std::min<uint64_t>(buffer_.size(), left())));
  buffer_begin_ = buffer_end_ = position_;
  auto read = file_.read(position_, target);
  if (!read) {
    return fail_within(fmt::format("{} at offset {}", field, position_), std::move(read).error());
  }
  if (*read < target.size()) {
    return fail(ErrorCode::kBadFile,
                "{} at offset {}: the file ends at {}, but had {} bytes when it was opened; "
                "something truncated it since",
                field, position_, position_ + *read, size_);
  }
  buffer_end_ = position_ + target.size();
  return {};
}

}  // namespace spillway::formats

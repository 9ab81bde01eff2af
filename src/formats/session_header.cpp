#include "formats/session_header.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <string_view>

namespace spillway::formats {
namespace {

constexpr std::string_view kSessionMagic = "SPLWSESS";
constexpr size_t kKvBytes = 16;
constexpr size_t kHashOffset = SessionHeader::kBytes - sizeof(uint64_t);
// Larger than any of a session: products of them do not wrap.
constexpr uint64_t kMostPositions = uint64_t{1} << 30;
constexpr uint64_t kMostBlockBytes = uint64_t{1} << 32;
constexpr uint64_t kMostNoteBytes = uint64_t{1} << 28;

class Writer {
 public:
  explicit Writer(std::span<std::byte> bytes) : bytes_(bytes) {}
  template <typename T>
  void number(T value) {
    std::memcpy(bytes_.data() + at_, &value, sizeof(value));
    at_ += sizeof(value);
  }
  void text(std::string_view text, size_t size) {
    std::memcpy(bytes_.data() + at_, text.data(), std::min(text.size(), size));
    at_ += size;
  }

 private:
  std::span<std::byte> bytes_;
  size_t at_ = 0;
};

class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}
  template <typename T>
  void number(T& value) {
    std::memcpy(&value, bytes_.data() + at_, sizeof(value));
    at_ += sizeof(value);
  }
  std::string text(size_t size) {
    const std::string all(reinterpret_cast<const char*>(bytes_.data() + at_), size);
    at_ += size;
    return all.substr(0, all.find('\0'));
  }

 private:
  std::span<const std::byte> bytes_;
  size_t at_ = 0;
};

}  // namespace

std::array<std::byte, SessionHeader::kBytes> SessionHeader::encode() const {
  std::array<std::byte, kBytes> bytes{};
  Writer writer(bytes);
  writer.text(kSessionMagic, kSessionMagic.size());
  writer.number(kVersion);
  writer.number(block_tokens);
  for (const uint64_t number : {model, block_bytes, tokens, positions, note_bytes})
    writer.number(number);
  writer.text(kv, kKvBytes);
  writer.number(text_hash);
  writer.number(blocks_hash);
  Writer(std::span(bytes).subspan(kHashOffset))
      .number(static_cast<uint64_t>(XXH3_64bits(bytes.data(), kHashOffset)));
  return bytes;
}

Result<SessionHeader> SessionHeader::decode(std::span<const std::byte, kBytes> bytes) {
  Reader reader(bytes);
  if (reader.text(kSessionMagic.size()) != kSessionMagic)
    return fail(ErrorCode::kBadFile, "this is no session");
  uint32_t version = 0;
  reader.number(version);
  if (version != kVersion) {
    return fail(ErrorCode::kBadFile,
                "the session is of version {}, but this program reads version {}; save it anew",
                version, kVersion);
  }
  uint64_t hash = 0;
  Reader(bytes.subspan(kHashOffset)).number(hash);
  if (hash != XXH3_64bits(bytes.data(), kHashOffset))
    return fail(ErrorCode::kBadFile, "the session's header is damaged");
  SessionHeader header;
  reader.number(header.block_tokens);
  for (uint64_t* number :
       {&header.model, &header.block_bytes, &header.tokens, &header.positions, &header.note_bytes})
    reader.number(*number);
  header.kv = reader.text(kKvBytes);
  reader.number(header.text_hash);
  reader.number(header.blocks_hash);
  if (header.block_tokens == 0 || header.tokens == 0 || header.tokens > kMostPositions ||
      header.positions > header.tokens || header.block_bytes > kMostBlockBytes ||
      header.note_bytes > kMostNoteBytes)
    return fail(ErrorCode::kBadFile, "the session's header has sizes that make no sense");
  return header;
}

}  // namespace spillway::formats

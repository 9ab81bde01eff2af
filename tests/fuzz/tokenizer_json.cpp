// Any bytes as tokenizer.json: refused, or a tokenizer that encodes any text within bounds and,
// where GGUF has a place for it, becomes metadata that is read again. The first byte says where the
// file ends and the text begins. Seeds: tests/fuzz/corpus/tokenizer_json.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/check.h"
#include "formats/tokenizer_gguf.h"
#include "formats/tokenizer_json.h"
#include "support/memory_file.h"

namespace {

using spillway::ErrorCode;
using spillway::formats::Tokenizer;
using spillway::formats::TokenizerDescription;
using spillway::test::MemoryFile;

void encode(const Tokenizer& tokenizer, std::string_view text) {
  for (const bool special : {false, true}) {
    const auto ids = tokenizer.encode(text, {.parse_special = special, .add_special = true});
    for (const auto id : ids) SPILLWAY_CHECK(id >= 0 && static_cast<size_t>(id) < tokenizer.size());
    static_cast<void>(tokenizer.decode(ids, special));
  }
}

// One row more than there are tokens, or one less.
void convert(const TokenizerDescription& description, bool more) {
  spillway::formats::GgufHeader header;
  const size_t rows = more ? description.tokens.size() + 1 : description.tokens.size() - 1;
  const auto added =
      spillway::formats::add_gguf_tokenizer({.tokenizer = description}, rows, header);
  if (!added) {
    SPILLWAY_CHECK(added.error().code == ErrorCode::kBadFile);
    return;
  }
  const std::string bytes = header.bytes();
  std::vector<std::byte> content(header.file_bytes());
  std::memcpy(content.data(), bytes.data(), bytes.size());
  auto file = spillway::formats::GgufFile::parse(MemoryFile(std::move(content)));
  SPILLWAY_CHECK(file.has_value());
  SPILLWAY_CHECK(spillway::formats::take_tokenizer_description(*file).has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const size_t text_size = std::min<size_t>(data[0], size - 1);
  std::vector<std::byte> json(size - 1 - text_size);
  if (!json.empty()) std::memcpy(json.data(), data + 1, json.size());
  auto description = spillway::formats::read_tokenizer_json(MemoryFile(std::move(json)));
  if (!description) {
    SPILLWAY_CHECK(description.error().code == ErrorCode::kBadFile);
    return 0;
  }
  convert(*description, size % 2 == 0);
  const auto tokenizer = Tokenizer::create(std::move(*description));
  if (!tokenizer) {
    SPILLWAY_CHECK(tokenizer.error().code == ErrorCode::kBadFile);
    return 0;
  }
  const std::string_view text(reinterpret_cast<const char*>(data) + (size - text_size), text_size);
  encode(*tokenizer, text);
  encode(*tokenizer, "Hello  <s> w\xC3\xB6rld\n 123 \xFF</s>");
  return 0;
}

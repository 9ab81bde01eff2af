// Any bytes through every tokenizer: they come back as they were, whole and in a stream.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "formats/tokenizer.h"
#include "support/small_vocabularies.h"

namespace {

using spillway::formats::StreamDecoder;
using spillway::formats::TokenId;
using spillway::formats::Tokenizer;
namespace test = spillway::test;

Tokenizer make(spillway::formats::TokenizerDescription description) {
  auto made = Tokenizer::create(std::move(description));
  if (!made) std::abort();
  return std::move(*made);
}

void expect(bool condition) {
  if (!condition) std::abort();
}

void check_round_trip(const Tokenizer& tokenizer, std::string_view text, bool parse_special) {
  const auto ids = tokenizer.encode(text, {.parse_special = parse_special});
  expect(tokenizer.decode(ids, true) == text);
}

void check_stream(const Tokenizer& tokenizer, std::string_view text) {
  StreamDecoder decoder;
  std::string streamed;
  for (const TokenId id : tokenizer.encode(text, {})) streamed += decoder.push(tokenizer.piece(id));
  streamed += decoder.finish();
  expect(streamed == text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::array byte_level = {
      make(test::byte_level_description("smollm", test::some_merges())),
      make(test::byte_level_description("gpt-2", test::some_merges())),
      make(test::byte_level_description("llama-bpe", test::some_merges())),
      make(test::byte_level_description("qwen2", test::some_merges()))};
  static const Tokenizer sentencepiece = make(test::sentencepiece_description(test::some_pieces()));

  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const Tokenizer& tokenizer : byte_level) {
    check_round_trip(tokenizer, text, false);
    check_round_trip(tokenizer, text, true);
    check_stream(tokenizer, text);
  }
  if (text.find("▁") == std::string_view::npos) {  // is a space there, by design
    check_round_trip(sentencepiece, text, false);
    check_round_trip(sentencepiece, text, true);
  }
  return 0;
}

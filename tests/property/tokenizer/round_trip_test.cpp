// Random bytes, and text that likes to collide with merges and special tokens: what is encoded
// decodes to itself, however it is cut on the way.
#include <gtest/gtest.h>

#include <random>

#include "support/small_vocabularies.h"

namespace spillway::formats {
namespace {

constexpr int kRounds = 300;

std::string random_text(std::mt19937_64& random) {
  static const std::vector<std::string> parts = {
      "hello", "he", "l",  " ", "  ",      "\n",     "\r\n",     "\t",   "1",      "12", "é",
      "😀",     "'s", "!",  "?", "<|end|>", "<tool>", "<s>",      "</s>", "\u00a0", "a",  "aaaaaaaa",
      "ß",     "中", "．", "٣", "\xE2",    "\x96",   "\xF0\x9F", "\xFF", "<|end|"};
  std::uniform_int_distribution<size_t> length(0, 60);
  std::uniform_int_distribution<size_t> pick(0, parts.size() + 3);
  std::uniform_int_distribution<int> byte(0, 255);
  std::string text;
  for (size_t n = length(random); n > 0; --n) {
    const size_t part = pick(random);
    if (part < parts.size())
      text += parts[part];
    else
      text += static_cast<char>(byte(random));
  }
  return text;
}

Tokenizer make(TokenizerDescription description) {
  auto made = Tokenizer::create(std::move(description));
  EXPECT_TRUE(made) << made.error().message;
  return std::move(*made);
}

class RoundTrip : public ::testing::Test {
 protected:
  const uint64_t seed_ = std::random_device{}();
  std::mt19937_64 random_{seed_};
};

TEST_F(RoundTrip, ByteLevelBpe) {
  for (const char* pre : {"smollm", "gpt-2", "llama-bpe", "qwen2"}) {
    const Tokenizer tokenizer = make(test::byte_level_description(pre, test::some_merges()));
    for (int round = 0; round < kRounds; ++round) {
      const std::string text = random_text(random_);
      for (const bool special : {false, true})
        EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, {.parse_special = special}), true), text)
            << pre << ", seed " << seed_ << ", round " << round;
    }
  }
}

TEST_F(RoundTrip, SentencePieceBpe) {
  for (const bool space : {false, true}) {
    auto description = test::sentencepiece_description(test::some_pieces());
    description.add_space_prefix = space;
    const Tokenizer tokenizer = make(std::move(description));
    for (int round = 0; round < kRounds; ++round) {
      const std::string text = random_text(random_);
      if (text.find("▁") != std::string::npos) continue;  // is a space there, by design
      for (const bool special : {false, true})
        EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, {.parse_special = special}), true), text)
            << "seed " << seed_ << ", round " << round;
    }
  }
}

// The words are an optimisation: a token that can never apply turns it off and changes nothing.
TEST_F(RoundTrip, SentencePieceWordsChangeNoIds) {
  auto pieces = test::some_pieces();
  const Tokenizer in_words = make(test::sentencepiece_description(pieces));
  pieces.emplace_back("\u0378▁\u0378");
  const Tokenizer at_once = make(test::sentencepiece_description(pieces));
  for (int round = 0; round < kRounds; ++round) {
    const std::string text = random_text(random_);
    EXPECT_EQ(in_words.encode(text, {}), at_once.encode(text, {}))
        << "seed " << seed_ << ", round " << round;
  }
}

// The heap against the definition: of all pairs the one of the lowest rank, of these the leftmost.
TEST_F(RoundTrip, MergesAreThoseOfTheDefinition) {
  const std::vector<std::string> merges = {"a b", "b a", "a a", "ab ab", "aa b", "b b", "aa aa"};
  const Tokenizer tokenizer = make(test::byte_level_description("gpt-2", merges));
  std::uniform_int_distribution<int> letter('a', 'c');
  for (int round = 0; round < kRounds; ++round) {
    std::vector<std::string> parts(static_cast<size_t>(round % 40));
    std::string text;
    for (std::string& part : parts) text += part = {static_cast<char>(letter(random_))};
    for (size_t rank = 0; rank < merges.size();) {
      size_t i = 0;
      while (i + 1 < parts.size() && parts[i] + " " + parts[i + 1] != merges[rank]) ++i;
      if (i + 1 >= parts.size()) {
        ++rank;
        continue;
      }
      parts[i] += parts[i + 1];
      parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(i) + 1);
      rank = 0;
    }
    std::vector<std::string> pieces;
    for (const TokenId id : tokenizer.encode(text, {})) pieces.push_back(tokenizer.piece(id));
    EXPECT_EQ(pieces, parts) << text << ", seed " << seed_ << ", round " << round;
  }
}

TEST_F(RoundTrip, StreamDecoderPassesOnEveryByteInOrder) {
  for (int round = 0; round < kRounds; ++round) {
    const std::string text = random_text(random_);
    StreamDecoder decoder;
    std::string got;
    std::uniform_int_distribution<size_t> size(0, 4);
    for (size_t begin = 0; begin < text.size();) {
      const std::string piece = text.substr(begin, size(random_));
      got += decoder.push(piece);
      begin += piece.size();
      EXPECT_LE(begin - got.size(), 3U);
    }
    got += decoder.finish();
    EXPECT_EQ(got, text) << "seed " << seed_ << ", round " << round;
  }
}

}  // namespace
}  // namespace spillway::formats

// See real_vocabularies.h.
#include "real_vocabularies.h"

#include <array>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>
#include <unordered_map>
#include <vector>

#include "formats/tokenizer_patterns.h"
#include "platform/linux/linux_platform.h"
#include "support/small_vocabularies.h"

namespace spillway::test {
namespace {

using formats::TokenizerDescription;

std::string decode_base64(std::string_view text) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  uint32_t bits = 0;
  int count = 0;
  for (const char digit : text) {
    if (digit == '=') break;
    bits = bits << 6 | static_cast<uint32_t>(kDigits.find(digit));
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes += static_cast<char>(bits >> count & 0xFF);
  }
  return bytes;
}

std::string spell(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) text += spelled_byte(static_cast<uint8_t>(byte));
  return text;
}

using Ranks = std::unordered_map<std::string, size_t>;

// The two parts that `token` is put together from, by the ranks below its own.
std::array<std::string, 2> last_merge(const Ranks& ranks, const std::string& token, size_t rank) {
  std::vector<std::string> parts;
  for (const char byte : token) parts.emplace_back(1, byte);
  while (parts.size() > 2) {
    size_t best = 0;
    size_t best_rank = rank;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      const auto found = ranks.find(parts[i] + parts[i + 1]);
      if (found == ranks.end() || found->second >= best_rank) continue;
      best = i;
      best_rank = found->second;
    }
    if (best_rank == rank) return {};
    parts[best] += parts[best + 1];
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
  return {parts[0], parts[1]};
}

}  // namespace

std::string shared_path(const std::string& name) {
  return std::string(SPILLWAY_SHARED_DATA) + "/" + name;
}

Result<std::string> read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(ErrorCode::kBadFile, "{} is missing", path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string fnv1a(const std::vector<formats::TokenId>& ids) {
  uint64_t hash = 0xCBF29CE484222325;
  for (const formats::TokenId id : ids)
    for (int shift = 0; shift < 32; shift += 8)
      hash = (hash ^ (static_cast<uint32_t>(id) >> shift & 0xFF)) * 0x100000001B3;
  return fmt::format("{:016x}", hash);
}

Result<TokenizerDescription> gguf_vocabulary(const std::string& path) {
  const auto machine = platform::make_linux_platform();
  SPILLWAY_ASSIGN(const auto file, machine->open(path, {.caching = platform::Caching::kUse}));
  SPILLWAY_ASSIGN(auto gguf, formats::GgufFile::parse(*file));
  return formats::take_tokenizer_description(gguf);
}

Result<TokenizerDescription> llama3_vocabulary() {
  SPILLWAY_ASSIGN(const auto json, read_text(shared_path("tokenizers/llama3.2_encoder.json")));
  SPILLWAY_ASSIGN(const auto merges, read_text(shared_path("tokenizers/llama3.2_vocab.bpe")));
  TokenizerDescription d;
  d.model = "gpt2";
  d.splits = formats::find_named_cut("llama-bpe").value().steps;
  d.whole_words_first = true;
  const auto ids = nlohmann::json::parse(json);
  std::vector<std::string> texts(ids.size());
  for (const auto& [text, id] : ids.items()) texts.at(id.get<size_t>()) = text;
  for (const std::string& text : texts) d.tokens.push_back(text);
  std::istringstream lines(merges);
  for (std::string line; std::getline(lines, line);)
    if (!line.empty()) d.merges.push_back(line);
  return d;
}

Result<TokenizerDescription> qwen2_vocabulary() {
  SPILLWAY_ASSIGN(const auto text, read_text(shared_path("tokenizers/qwen.tiktoken")));
  TokenizerDescription d;
  d.model = "gpt2";
  d.splits = formats::find_named_cut("qwen2").value().steps;
  Ranks ranks;
  std::vector<std::string> tokens;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const size_t space = line.find(' ');
    if (space == std::string::npos) continue;
    tokens.push_back(decode_base64(std::string_view(line).substr(0, space)));
    ranks.emplace(tokens.back(), tokens.size() - 1);
  }
  for (size_t rank = 0; rank < tokens.size(); ++rank) {
    d.tokens.push_back(spell(tokens[rank]));
    if (tokens[rank].size() < 2) continue;
    const auto parts = last_merge(ranks, tokens[rank], rank);
    if (parts[0].empty()) return fail(ErrorCode::kBadFile, "rank {} cannot be reached", rank);
    d.merges.push_back(spell(parts[0]) + " " + spell(parts[1]));
  }
  return d;
}

}  // namespace spillway::test

// The tokenizer's part of a GGUF file's metadata, read and checked: nothing in it is believed.
#include "formats/tokenizer_description.h"

#include <charconv>
#include <cmath>
#include <string>
#include <utility>

#include "formats/tokenizer_family.h"
#include "formats/tokenizer_patterns.h"

namespace spillway::formats {
namespace {

template <typename Array>
Result<Array> take_array(GgufFile& file, const std::string& key) {
  const GgufValue* value = file.find(key);
  if (value == nullptr)
    return fail(ErrorCode::kBadFile, "the metadata has no {}, which this tokenizer needs", key);
  if (!std::holds_alternative<Array>(*value))
    return fail(ErrorCode::kBadFile, "the metadata's {} is not an array of the type expected", key);
  return std::get<Array>(file.take(key));
}

Result<std::vector<int64_t>> take_types(GgufFile& file) {
  const std::string key = gguf_tokenizer_key("token_type");
  const GgufValue* value = file.find(key);
  if (value == nullptr) return std::vector<int64_t>();
  if (!std::holds_alternative<std::vector<uint64_t>>(*value))
    return take_array<std::vector<int64_t>>(file, key);
  SPILLWAY_ASSIGN(const auto types, take_array<std::vector<uint64_t>>(file, key));
  // What does not fit becomes negative, which is no type.
  return std::vector<int64_t>(types.begin(), types.end());
}

Result<std::optional<TokenId>> read_id(const GgufFile& file, std::string_view name, size_t tokens) {
  const std::string key = gguf_tokenizer_key(name);
  if (file.find(key) == nullptr) return std::nullopt;
  SPILLWAY_ASSIGN(const uint64_t id, file.unsigned_value(key));
  if (id >= tokens)
    return fail(ErrorCode::kBadFile, "{} is {}, but the vocabulary has {} tokens", key, id, tokens);
  return static_cast<TokenId>(id);
}

Result<void> check_lengths(const TokenizerDescription& d) {
  const size_t tokens = d.tokens.size();
  if (tokens == 0 || tokens > INT32_MAX || d.merges.size() > INT32_MAX)
    return fail(ErrorCode::kBadFile, "a vocabulary of {} tokens and {} merges cannot be used",
                tokens, d.merges.size());
  if (!d.types.empty() && d.types.size() != tokens)
    return fail(ErrorCode::kBadFile, "{} tokens have {} token types", tokens, d.types.size());
  if (d.model == "llama" && d.scores.size() != tokens)
    return fail(ErrorCode::kBadFile, "{} tokens have {} scores", tokens, d.scores.size());
  return {};
}

Result<void> check_types(const TokenizerDescription& d) {
  for (size_t i = 0; i < d.types.size(); ++i) {
    if (d.types[i] < int64_t{static_cast<int32_t>(TokenType::kNormal)} ||
        d.types[i] > int64_t{static_cast<int32_t>(TokenType::kByte)})
      return fail(ErrorCode::kBadFile, "token {} has type {}; types are 1 to 6", i, d.types[i]);
    if (d.types[i] == static_cast<int32_t>(TokenType::kByte) && !byte_of_token(d.tokens[i]))
      return fail(ErrorCode::kBadFile,
                  "byte token {} is '{}'; byte tokens are '<0x00>' to '<0xFF>'", i, d.tokens[i]);
  }
  for (size_t i = 0; i < d.scores.size(); ++i)
    if (std::isnan(d.scores[i])) return fail(ErrorCode::kBadFile, "token {}'s score is NaN", i);
  return {};
}

Result<void> check_steps(const TokenizerDescription& d) {
  for (const auto* steps : {&d.normalizer, &d.preparation})
    for (const TextStep& step : *steps)
      if (step.kind == TextStep::Kind::kReplace && step.from.empty())
        return fail(ErrorCode::kBadFile, "a normalizer replaces the empty text");
  for (const AddedTokenRule& rule : d.added)
    if (rule.id < 0 || static_cast<size_t>(rule.id) >= d.tokens.size())
      return fail(ErrorCode::kBadFile, "an added token is {}, but the vocabulary has {} tokens",
                  rule.id, d.tokens.size());
  return {};
}

Result<void> check_id(const char* name, std::optional<TokenId> id, size_t tokens) {
  if (id && (*id < 0 || static_cast<size_t>(*id) >= tokens))
    return fail(ErrorCode::kBadFile, "the {} token is {}, but the vocabulary has {} tokens", name,
                *id, tokens);
  return {};
}

// Phi-3's GGUF files do not carry what its tokenizer.json says of its added tokens.
void add_rules_of_phi3(const GgufFile& file, TokenizerDescription& d) {
  const auto architecture = file.string_value("general.architecture");
  if (!architecture || *architecture != "phi3" || d.model != "llama") return;
  for (size_t i = 0; i < d.types.size(); ++i) {
    const std::string_view text = d.tokens[i];
    const TokenType type{static_cast<int32_t>(d.types[i])};
    if (type != TokenType::kControl && type != TokenType::kUserDefined) continue;
    if (text == "<unk>" || text == "<s>" || text == "<|endoftext|>") continue;
    d.added.push_back({.id = static_cast<TokenId>(i), .rstrip = true});
  }
}

}  // namespace

std::optional<uint8_t> byte_of_token(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text.back() != '>') return std::nullopt;
  uint8_t byte = 0;
  const auto [end, error] = std::from_chars(text.data() + 3, text.data() + 5, byte, 16);
  if (error != std::errc() || end != text.data() + 5) return std::nullopt;
  return byte;
}

bool is_mergeable(TokenType type) {
  return type != TokenType::kControl && type != TokenType::kUnknown;
}

Result<void> check_tokenizer_description(const TokenizerDescription& description) {
  const std::string& model = description.model;
  if (model != "gpt2" && model != "llama" && model != "bpe")
    return fail(ErrorCode::kBadFile,
                "the tokenizer (tokenizer.ggml.model) is '{}', which is not supported; supported "
                "are gpt2 (byte-level BPE) and llama (SentencePiece BPE)",
                model);
  SPILLWAY_TRY(check_lengths(description));
  SPILLWAY_TRY(check_types(description));
  SPILLWAY_TRY(check_steps(description));
  const size_t tokens = description.tokens.size();
  SPILLWAY_TRY(check_id("BOS", description.bos, tokens));
  SPILLWAY_TRY(check_id("EOS", description.eos, tokens));
  SPILLWAY_TRY(check_id("EOT", description.eot, tokens));
  for (const TokenId id : description.ends) SPILLWAY_TRY(check_id("end", id, tokens));
  return check_id("unknown", description.unknown, tokens);
}

Result<void> keep_tokens_with_rows(TokenizerDescription& d, size_t rows) {
  if (d.tokens.size() <= rows) return {};
  const StringArray all = std::move(d.tokens);
  d.tokens = {};
  for (size_t i = 0; i < all.size(); ++i) {
    if (i < rows) {
      d.tokens.push_back(all[i]);
    } else if (d.types.empty() || d.types[i] == static_cast<int64_t>(TokenType::kNormal)) {
      return fail(ErrorCode::kBadFile,
                  "the vocabulary has {} tokens, but the embedding table only {} rows", all.size(),
                  rows);
    }
  }
  d.types.resize(rows);
  d.scores.resize(std::min(d.scores.size(), rows));
  const auto has_no_row = [&](TokenId id) { return static_cast<size_t>(id) >= rows; };
  std::erase_if(d.added, [&](const auto& rule) { return has_no_row(rule.id); });
  std::erase_if(d.ends, has_no_row);
  if (d.padding && has_no_row(*d.padding)) d.padding.reset();
  return check_tokenizer_description(d);
}

Result<TokenizerDescription> take_tokenizer_description(GgufFile& file) {
  TokenizerDescription d;
  SPILLWAY_ASSIGN(d.model, file.string_value(gguf_tokenizer_key("model")));
  // Before anything is taken apart: other families spell their vocabulary otherwise.
  bool adds_bos = d.model == "llama";
  if (d.model == "gpt2") {
    SPILLWAY_ASSIGN(const std::string_view name, file.string_value(gguf_tokenizer_key("pre")));
    SPILLWAY_ASSIGN(NamedCut cut, find_named_cut(name));
    d.splits = std::move(cut.steps);
    d.whole_words_first = cut.whole_words_first;
    adds_bos = cut.adds_bos;
    d.add_space_prefix = false;
    SPILLWAY_ASSIGN(d.merges, take_array<StringArray>(file, gguf_tokenizer_key("merges")));
  } else if (d.model == "llama") {
    SPILLWAY_ASSIGN(d.scores, take_array<std::vector<float>>(file, gguf_tokenizer_key("scores")));
  } else {
    SPILLWAY_TRY(check_tokenizer_description(d));
  }
  SPILLWAY_ASSIGN(d.tokens, take_array<StringArray>(file, gguf_tokenizer_key("tokens")));
  SPILLWAY_ASSIGN(d.types, take_types(file));
  const size_t tokens = d.tokens.size();
  SPILLWAY_ASSIGN(d.bos, read_id(file, "bos_token_id", tokens));
  SPILLWAY_ASSIGN(d.eos, read_id(file, "eos_token_id", tokens));
  SPILLWAY_ASSIGN(d.eot, read_id(file, "eot_token_id", tokens));
  SPILLWAY_ASSIGN(d.unknown, read_id(file, "unknown_token_id", tokens));
  SPILLWAY_ASSIGN(const uint64_t padding,
                  file.unsigned_value(gguf_tokenizer_key("padding_token_id"), tokens));
  if (padding < tokens) d.padding = static_cast<TokenId>(padding);  // none has an id out of range
  SPILLWAY_ASSIGN(d.add_bos, file.bool_value(gguf_tokenizer_key("add_bos_token"), adds_bos));
  SPILLWAY_ASSIGN(d.add_eos, file.bool_value(gguf_tokenizer_key("add_eos_token"), false));
  if (d.model == "llama") {
    SPILLWAY_ASSIGN(d.add_space_prefix,
                    file.bool_value(gguf_tokenizer_key("add_space_prefix"), true));
  }
  SPILLWAY_TRY(check_tokenizer_description(d));
  add_rules_of_phi3(file, d);
  return d;
}

}  // namespace spillway::formats

// See tokenizer_json.h.
#include "formats/tokenizer_json.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "formats/gguf_reader.h"
#include "formats/tokenizer_description.h"
#include "formats/tokenizer_family.h"
#include "formats/tokenizer_json_consumer.h"
#include "formats/tokenizer_json_steps.h"

namespace spillway::formats {
namespace {

// Ids that no token has. Models leave a few; a file must not make us keep millions.
constexpr size_t kMostGaps = 1 << 16;

struct AddedToken {
  AddedTokenRule rule;
  std::string text;
  bool special;
};

Result<AddedToken> read_added_token(const Json& from) {
  AddedToken token{};
  const Json* id = find_member(from, "id");
  if (id == nullptr || !id->is_number_unsigned() || id->get<uint64_t>() > INT32_MAX)
    return fail(ErrorCode::kBadFile, "an added token has no id");
  token.rule.id = id->get<int32_t>();
  SPILLWAY_ASSIGN(token.text, text_member(from, "content"));
  SPILLWAY_ASSIGN(token.special, flag_member(from, "special", false));
  SPILLWAY_ASSIGN(token.rule.lstrip, flag_member(from, "lstrip", false));
  SPILLWAY_ASSIGN(token.rule.rstrip, flag_member(from, "rstrip", false));
  SPILLWAY_ASSIGN(token.rule.single_word, flag_member(from, "single_word", false));
  SPILLWAY_ASSIGN(token.rule.normalized, flag_member(from, "normalized", !token.special));
  return token;
}

Result<std::vector<AddedToken>> read_added_tokens(const Json& parts) {
  std::vector<AddedToken> tokens;
  const Json* list = find_member(parts, "added_tokens");
  if (list == nullptr) return tokens;
  if (!list->is_array()) return fail(ErrorCode::kBadFile, "'added_tokens' is no list");
  for (const Json& from : *list) {
    SPILLWAY_ASSIGN(AddedToken token, read_added_token(from));
    tokens.push_back(std::move(token));
  }
  return tokens;
}

// Puts vocabulary and added tokens where their ids say.
class TokensById {
 public:
  static Result<TokensById> make(const TokenizerJsonConsumer& file,
                                 const std::vector<AddedToken>& added) {
    size_t size = 0;
    for (const uint32_t id : file.ids) size = std::max<size_t>(size, size_t{id} + 1);
    for (const AddedToken& token : added)
      size = std::max(size, static_cast<size_t>(token.rule.id) + 1);
    if (size > file.ids.size() + added.size() + kMostGaps)
      return fail(ErrorCode::kBadFile, "{} tokens have ids up to {}",
                  file.ids.size() + added.size(), size - 1);
    TokensById tokens;
    tokens.texts_.resize(size);
    for (size_t i = 0; i < file.ids.size(); ++i)
      SPILLWAY_TRY(tokens.put(file.ids[i], file.texts[i]));
    for (const AddedToken& token : added)
      SPILLWAY_TRY(tokens.put(static_cast<size_t>(token.rule.id), token.text));
    return tokens;
  }

  StringArray take(std::vector<int64_t>& types) const {
    StringArray texts;
    size_t bytes = 0;
    for (const std::string_view text : texts_) bytes += text.size();
    texts.reserve(texts_.size(), bytes);
    types.assign(texts_.size(), int64_t{static_cast<int32_t>(TokenType::kNormal)});
    for (size_t id = 0; id < texts_.size(); ++id) {
      texts.push_back(texts_[id]);
      if (texts_[id].empty()) types[id] = static_cast<int32_t>(TokenType::kUnused);
    }
    return texts;
  }

 private:
  Result<void> put(size_t id, std::string_view text) {
    if (!texts_[id].empty() && texts_[id] != text)
      return fail(ErrorCode::kBadFile, "id {} is {} and {}", id, in_quotes(texts_[id]),
                  in_quotes(text));
    texts_[id] = text;
    return {};
  }

  std::vector<std::string_view> texts_;
};

std::optional<TokenId> find_token(const TokenizerDescription& d, std::string_view text) {
  for (size_t id = 0; id < d.tokens.size(); ++id)
    if (d.tokens[id] == text) return static_cast<TokenId>(id);
  return std::nullopt;
}

Result<std::optional<TokenId>> find_named(const TokenizerDescription& d, const char* name,
                                          const std::optional<std::string>& text) {
  if (!text) return std::nullopt;
  const auto id = find_token(d, *text);
  if (!id)
    return fail(ErrorCode::kBadFile, "the {} token is {}, which is not in the vocabulary", name,
                in_quotes(*text));
  return id;
}

Result<void> check_model(const Json& parts) {
  const Json* model = find_member(parts, "model");
  if (model == nullptr) return fail(ErrorCode::kBadFile, "'model' is missing");
  // Files of before 2020 do not say.
  if (find_member(*model, "type") != nullptr) {
    SPILLWAY_ASSIGN(const std::string type, text_member(*model, "type"));
    if (type != "BPE")
      return fail(ErrorCode::kBadFile, "the model is {}, which is not supported; BPE is",
                  in_quotes(type));
  }
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const Json* value = find_member(*model, affix);
    if (value == nullptr) continue;
    const auto* text = value->get_ptr<const Json::string_t*>();
    if (text == nullptr || !text->empty())
      return fail(ErrorCode::kBadFile, "the model's {} is {}, which is not supported", affix,
                  in_quotes(value->dump(-1, ' ', false, Json::error_handler_t::replace)));
  }
  const Json* dropout = find_member(*model, "dropout");
  if (dropout != nullptr && *dropout != 0)
    return fail(ErrorCode::kBadFile,
                "the model drops merges by chance (dropout), which is not "
                "supported");
  return {};
}

void set_types(const std::vector<AddedToken>& added, bool byte_fallback, TokenizerDescription& d) {
  for (size_t id = 0; byte_fallback && id < d.types.size(); ++id)
    if (byte_of_token(d.tokens[id])) d.types[id] = static_cast<int32_t>(TokenType::kByte);
  for (const AddedToken& token : added) {
    const TokenType type = token.special ? TokenType::kControl : TokenType::kUserDefined;
    d.types[static_cast<size_t>(token.rule.id)] = static_cast<int32_t>(type);
    const AddedTokenRule& rule = token.rule;
    if (rule.lstrip || rule.rstrip || rule.single_word || rule.normalized) d.added.push_back(rule);
  }
}

Result<void> set_steps(const Json& parts, TokenizerDescription& d) {
  SPILLWAY_ASSIGN(d.normalizer, read_normalizer(find_member(parts, "normalizer")));
  SPILLWAY_ASSIGN(PreTokenizerSteps steps, read_pre_tokenizer(find_member(parts, "pre_tokenizer")));
  SPILLWAY_TRY(check_decoder(find_member(parts, "decoder"), steps.byte_level));
  d.model = steps.byte_level ? "gpt2" : "bpe";
  d.preparation = std::move(steps.preparation);
  d.splits = std::move(steps.splits);
  d.add_space_prefix = false;
  if (steps.byte_level) return {};
  for (const auto* changes : {&d.normalizer, &d.preparation})
    for (const TextStep& step : *changes)
      if (step.kind == TextStep::Kind::kPrepend || step.kind == TextStep::Kind::kPrependOnce ||
          step.kind == TextStep::Kind::kPrependAtStart)
        d.add_space_prefix = true;
  return {};
}

// Which tokens stand around a text. tokenizer_config.json has the last word on whether they do.
Result<void> set_around(const Json& parts, const TokenizerConfig& config, TokenizerDescription& d) {
  SPILLWAY_ASSIGN(const AroundText around,
                  read_post_processor(find_member(parts, "post_processor")));
  SPILLWAY_ASSIGN(d.bos, find_named(d, "BOS", around.before ? around.before : config.bos));
  SPILLWAY_ASSIGN(d.eos, find_named(d, "EOS", config.eos ? config.eos : around.after));
  if (around.after && config.eos && *around.after != *config.eos)
    return fail(ErrorCode::kBadFile,
                "the post-processor ends text with {}, but the EOS token is {}; this is not "
                "supported",
                in_quotes(*around.after), in_quotes(*config.eos));
  d.add_bos = config.add_bos.value_or(around.before.has_value());
  d.add_eos = config.add_eos.value_or(around.after.has_value());
  return {};
}

// A token is its text, or an object whose "content" it is.
Result<std::optional<std::string>> read_token_name(const Json& config, const char* key) {
  const Json* value = find_member(config, key);
  if (value == nullptr) return std::nullopt;
  if (value->is_object()) return text_member(*value, "content");
  return text_member(config, key);
}

Result<std::optional<bool>> read_choice(const Json& config, const char* key) {
  if (find_member(config, key) == nullptr) return std::nullopt;
  SPILLWAY_ASSIGN(const bool choice, flag_member(config, key, false));
  return choice;
}

Result<std::optional<std::string>> read_chat_template(const Json& config) {
  const Json* value = find_member(config, "chat_template");
  if (value == nullptr) return std::nullopt;
  if (!value->is_array()) return text_member(config, "chat_template");
  for (const Json& named : *value) {
    SPILLWAY_ASSIGN(const std::string name, text_member(named, "name"));
    if (name == "default") return text_member(named, "template");
  }
  return std::nullopt;
}

}  // namespace

Result<TokenizerConfig> read_tokenizer_config(const platform::File& file) {
  SPILLWAY_ASSIGN(const Json json, read_json(file));
  TokenizerConfig config;
  SPILLWAY_ASSIGN(config.bos, read_token_name(json, "bos_token"));
  SPILLWAY_ASSIGN(config.eos, read_token_name(json, "eos_token"));
  SPILLWAY_ASSIGN(config.unknown, read_token_name(json, "unk_token"));
  SPILLWAY_ASSIGN(config.padding, read_token_name(json, "pad_token"));
  SPILLWAY_ASSIGN(config.add_bos, read_choice(json, "add_bos_token"));
  SPILLWAY_ASSIGN(config.add_eos, read_choice(json, "add_eos_token"));
  SPILLWAY_ASSIGN(config.chat_template, read_chat_template(json));
  return config;
}

Result<TokenizerDescription> read_tokenizer_json(const platform::File& file,
                                                 const TokenizerConfig& config) {
  TokenizerJsonConsumer consumer(JsonLimits{});
  SPILLWAY_TRY(parse_json(file, consumer));
  const Json parts = consumer.take();
  SPILLWAY_TRY(check_model(parts));
  const Json& model = *find_member(parts, "model");
  SPILLWAY_ASSIGN(const auto added, read_added_tokens(parts));
  TokenizerDescription d;
  {
    SPILLWAY_ASSIGN(const TokensById tokens, TokensById::make(consumer, added));
    d.tokens = tokens.take(d.types);
  }
  d.merges = std::move(consumer.merges);
  SPILLWAY_TRY(set_steps(parts, d));
  SPILLWAY_ASSIGN(const bool byte_fallback, flag_member(model, "byte_fallback", false));
  set_types(added, byte_fallback && d.model == "bpe", d);
  SPILLWAY_ASSIGN(d.whole_words_first, flag_member(model, "ignore_merges", false));
  SPILLWAY_ASSIGN(d.fuse_unknown, flag_member(model, "fuse_unk", false));
  if (find_member(model, "unk_token") != nullptr) {
    SPILLWAY_ASSIGN(const std::string unknown, text_member(model, "unk_token"));
    SPILLWAY_ASSIGN(d.unknown, find_named(d, "unknown", unknown));
    d.unknown_bytes = true;
  } else if (config.unknown) {
    d.unknown = find_token(d, *config.unknown);
  }
  if (config.padding) d.padding = find_token(d, *config.padding);
  SPILLWAY_TRY(set_around(parts, config, d));
  SPILLWAY_TRY(check_tokenizer_description(d));
  return d;
}

}  // namespace spillway::formats

// See tokenizer_json_steps.h. Source: the tokenizers package's documentation of its components.
#include "formats/tokenizer_json_steps.h"

#include <algorithm>
#include <array>
#include <functional>
#include <utility>

#include "formats/gguf_reader.h"
#include "formats/tokenizer_regex.h"

namespace spillway::formats {
namespace {

template <typename Value, size_t size>
using NamedValues = std::array<std::pair<std::string_view, Value>, size>;

template <typename Value, size_t size>
const Value* find_named(const NamedValues<Value, size>& values, std::string_view name) {
  const auto found =
      std::ranges::find_if(values, [&](const auto& value) { return value.first == name; });
  return found == values.end() ? nullptr : &found->second;
}

constexpr NamedValues<TextStep::Kind, 4> kNormalForms = {{{"NFC", TextStep::Kind::kNfc},
                                                          {"NFD", TextStep::Kind::kNfd},
                                                          {"NFKC", TextStep::Kind::kNfkc},
                                                          {"NFKD", TextStep::Kind::kNfkd}}};

constexpr NamedValues<SplitBehavior, 5> kBehaviors = {
    {{"Isolated", SplitBehavior::kIsolated},
     {"Removed", SplitBehavior::kRemoved},
     {"Contiguous", SplitBehavior::kContiguous},
     {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
     {"MergedWithNext", SplitBehavior::kMergedWithNext}}};

// How ByteLevel cuts where it is asked to.
constexpr const char* kByteLevelPattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// Calls `take` for the part, or for each of a Sequence's, whose list is under `list`.
Result<void> for_each_part(const Json* part, const char* list,
                           const std::function<Result<void>(const Json&, std::string_view)>& take) {
  if (part == nullptr) return {};
  SPILLWAY_ASSIGN(const std::string type, text_member(*part, "type"));
  if (type != "Sequence") return take(*part, type);
  const Json* parts = find_member(*part, list);
  if (parts == nullptr || !parts->is_array())
    return fail(ErrorCode::kBadFile, "a Sequence has no list '{}'", list);
  for (const Json& inner : *parts) SPILLWAY_TRY(for_each_part(&inner, list, take));
  return {};
}

// {"String": "…"} or {"Regex": "…"}.
struct Pattern {
  std::string text;
  bool is_regex;
};
Result<Pattern> read_pattern(const Json& part) {
  const Json* pattern = find_member(part, "pattern");
  if (pattern == nullptr) return fail(ErrorCode::kBadFile, "'pattern' is missing");
  if (find_member(*pattern, "Regex") != nullptr) {
    SPILLWAY_ASSIGN(std::string text, text_member(*pattern, "Regex"));
    return Pattern{std::move(text), true};
  }
  SPILLWAY_ASSIGN(std::string text, text_member(*pattern, "String"));
  if (text.empty()) return fail(ErrorCode::kBadFile, "'pattern' is an empty text");
  return Pattern{std::move(text), false};
}

Result<TextStep> read_normalizer_step(const Json& part, std::string_view type) {
  if (const auto* kind = find_named(kNormalForms, type)) return TextStep{.kind = *kind};
  if (type == "Prepend") {
    SPILLWAY_ASSIGN(std::string text, text_member(part, "prepend"));
    return TextStep{.kind = TextStep::Kind::kPrepend, .to = std::move(text)};
  }
  if (type != "Replace")
    return fail(ErrorCode::kBadFile,
                "the normalizer {} is not supported; supported are NFC, NFD, NFKC, NFKD, Prepend, "
                "Replace and Sequence",
                in_quotes(type));
  SPILLWAY_ASSIGN(Pattern pattern, read_pattern(part));
  if (pattern.is_regex)
    return fail(ErrorCode::kBadFile, "a Replace of the pattern {} is not supported, only of a text",
                in_quotes(pattern.text));
  SPILLWAY_ASSIGN(std::string content, text_member(part, "content"));
  return TextStep{
      .kind = TextStep::Kind::kReplace, .from = std::move(pattern.text), .to = std::move(content)};
}

Result<SplitBehavior> read_behavior(const Json& part) {
  SPILLWAY_ASSIGN(const std::string name, text_member(part, "behavior"));
  if (const auto* behavior = find_named(kBehaviors, name)) return *behavior;
  return fail(ErrorCode::kBadFile, "the behavior {} of a split is unknown", in_quotes(name));
}

Result<void> add_split(const Json& part, PreTokenizerSteps& steps) {
  SPILLWAY_ASSIGN(Pattern pattern, read_pattern(part));
  SPILLWAY_ASSIGN(const SplitBehavior behavior, read_behavior(part));
  SPILLWAY_ASSIGN(const bool invert, flag_member(part, "invert", false));
  steps.splits.push_back(
      {.pattern = pattern.is_regex ? std::move(pattern.text) : quote_regex(pattern.text),
       .behavior = behavior,
       .invert = invert});
  return {};
}

Result<void> add_byte_level(const Json& part, PreTokenizerSteps& steps) {
  SPILLWAY_ASSIGN(const bool prefix, flag_member(part, "add_prefix_space", true));
  SPILLWAY_ASSIGN(const bool use_regex, flag_member(part, "use_regex", true));
  if (prefix && !steps.splits.empty())
    return fail(ErrorCode::kBadFile,
                "a ByteLevel with add_prefix_space behind other "
                "pre-tokenizers is not supported");
  if (prefix) steps.preparation.push_back({.kind = TextStep::Kind::kPrependOnce, .to = " "});
  if (use_regex) steps.splits.push_back({.pattern = kByteLevelPattern});
  steps.byte_level = true;
  return {};
}

// "always", "first" or "never"; older files say add_prefix_space.
Result<std::string> read_prepend_scheme(const Json& part) {
  if (find_member(part, "prepend_scheme") != nullptr) return text_member(part, "prepend_scheme");
  SPILLWAY_ASSIGN(const bool prefix, flag_member(part, "add_prefix_space", true));
  return std::string(prefix ? "always" : "never");
}

Result<void> add_metaspace(const Json& part, PreTokenizerSteps& steps) {
  if (!steps.splits.empty())
    return fail(ErrorCode::kBadFile, "a Metaspace behind other pre-tokenizers is not supported");
  SPILLWAY_ASSIGN(const std::string replacement, text_member(part, "replacement"));
  SPILLWAY_ASSIGN(const std::string scheme, read_prepend_scheme(part));
  SPILLWAY_ASSIGN(const bool split, flag_member(part, "split", true));
  steps.preparation.push_back({.kind = TextStep::Kind::kReplace, .from = " ", .to = replacement});
  if (scheme != "always" && scheme != "first" && scheme != "never")
    return fail(ErrorCode::kBadFile, "the prepend_scheme {} is unknown", in_quotes(scheme));
  if (scheme != "never")
    steps.preparation.push_back(
        {.kind = scheme == "first" ? TextStep::Kind::kPrependAtStart : TextStep::Kind::kPrependOnce,
         .to = replacement});
  if (split)
    steps.splits.push_back(
        {.pattern = quote_regex(replacement), .behavior = SplitBehavior::kMergedWithNext});
  return {};
}

Result<void> add_pre_tokenizer(const Json& part, std::string_view type, PreTokenizerSteps& steps) {
  if (steps.byte_level)
    return fail(ErrorCode::kBadFile, "a {} behind ByteLevel is not supported", in_quotes(type));
  if (type == "Split") return add_split(part, steps);
  if (type == "ByteLevel") return add_byte_level(part, steps);
  if (type == "Metaspace") return add_metaspace(part, steps);
  if (type == "Digits") {
    SPILLWAY_ASSIGN(const bool individual, flag_member(part, "individual_digits", false));
    steps.splits.push_back({.pattern = individual ? R"(\p{N})" : R"(\p{N}+)"});
    return {};
  }
  if (type == "Punctuation") {
    SPILLWAY_ASSIGN(const SplitBehavior behavior, read_behavior(part));
    steps.splits.push_back({.pattern = R"([\p{P}$+<=>^`|~])", .behavior = behavior});
    return {};
  }
  return fail(ErrorCode::kBadFile,
              "the pre-tokenizer {} is not supported; supported are ByteLevel, Digits, Metaspace, "
              "Punctuation, Sequence and Split",
              in_quotes(type));
}

// [special token] $A [special token].
Result<void> read_template(const Json& part, AroundText& around) {
  const Json* single = find_member(part, "single");
  bool text_seen = false;
  if (single != nullptr && single->is_array()) {
    for (const Json& piece : *single) {
      if (find_member(piece, "Sequence") != nullptr && !text_seen) {
        text_seen = true;
        continue;
      }
      auto& side = text_seen ? around.after : around.before;
      const Json* token = find_member(piece, "SpecialToken");
      if (token == nullptr || side)
        return fail(ErrorCode::kBadFile,
                    "a TemplateProcessing of more than one special token on "
                    "a side of one text is not supported");
      SPILLWAY_ASSIGN(side, text_member(*token, "id"));
    }
  }
  if (!text_seen) return fail(ErrorCode::kBadFile, "a TemplateProcessing has no text in 'single'");
  return {};
}

Result<std::string> read_named_token(const Json& part, const char* key) {
  const Json* pair = find_member(part, key);
  if (pair == nullptr || !pair->is_array() || pair->empty() || !pair->front().is_string())
    return fail(ErrorCode::kBadFile, "'{}' of the post-processor is no token", key);
  return pair->front().get<std::string>();
}

}  // namespace

Result<std::vector<TextStep>> read_normalizer(const Json* normalizer) {
  std::vector<TextStep> steps;
  SPILLWAY_TRY(for_each_part(normalizer, "normalizers",
                             [&](const Json& part, std::string_view type) -> Result<void> {
                               SPILLWAY_ASSIGN(TextStep step, read_normalizer_step(part, type));
                               steps.push_back(std::move(step));
                               return {};
                             }));
  return steps;
}

Result<PreTokenizerSteps> read_pre_tokenizer(const Json* pre_tokenizer) {
  PreTokenizerSteps steps;
  SPILLWAY_TRY(
      for_each_part(pre_tokenizer, "pretokenizers", [&](const Json& part, std::string_view type) {
        return add_pre_tokenizer(part, type, steps);
      }));
  return steps;
}

Result<AroundText> read_post_processor(const Json* post_processor) {
  AroundText around;
  SPILLWAY_TRY(for_each_part(
      post_processor, "processors", [&](const Json& part, std::string_view type) -> Result<void> {
        if (type == "ByteLevel") return {};  // only says where tokens lie in the text
        if (type == "TemplateProcessing") return read_template(part, around);
        if (type != "BertProcessing" && type != "RobertaProcessing")
          return fail(ErrorCode::kBadFile,
                      "the post-processor {} is not supported; supported are ByteLevel, "
                      "TemplateProcessing, BertProcessing, RobertaProcessing and Sequence",
                      in_quotes(type));
        SPILLWAY_ASSIGN(around.before, read_named_token(part, "cls"));
        SPILLWAY_ASSIGN(around.after, read_named_token(part, "sep"));
        return {};
      }));
  return around;
}

Result<void> check_decoder(const Json* decoder, bool byte_level) {
  constexpr std::array<std::string_view, 5> kOfCharacters = {"Replace", "ByteFallback", "Fuse",
                                                             "Strip", "Metaspace"};
  return for_each_part(
      decoder, "decoders", [&](const Json&, std::string_view type) -> Result<void> {
        const bool known = byte_level
                               ? type == "ByteLevel" || type == "Fuse"
                               : std::ranges::find(kOfCharacters, type) != kOfCharacters.end();
        if (known) return {};
        return fail(ErrorCode::kBadFile, "the decoder {} is not supported with {} pre-tokenizer",
                    in_quotes(type), byte_level ? "a ByteLevel" : "no ByteLevel");
      });
}

}  // namespace spillway::formats

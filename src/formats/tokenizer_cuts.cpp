#include "formats/tokenizer_cuts.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "formats/gguf_reader.h"

namespace spillway::formats {
namespace {

using nlohmann::ordered_json;

constexpr const char* kLlama3Words =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen2Words =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
#define CAPITALS R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])"
#define SMALLS R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])"
#define CASED_WORDS(ending)                                                                \
  R"([^\r\n\p{L}\p{N}]?)" CAPITALS "*" SMALLS "+" ending R"(|[^\r\n\p{L}\p{N}]?)" CAPITALS \
  "+" SMALLS "*" ending "|"
#define SPELLED_SYMBOLS R"(| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"
constexpr const char* kTekkenWords = CASED_WORDS("") R"(\p{N})" SPELLED_SYMBOLS;
constexpr const char* kGpt4oWords =
    CASED_WORDS("(?i:'s|'t|'re|'ve|'m|'ll|'d)?") R"(\p{N}{1,3})" SPELLED_SYMBOLS;

constexpr std::array kCuts = {
    SpelledCut{.name = "gpt-2"},
    SpelledCut{.name = "smollm", .single_digits = true},
    SpelledCut{.name = "starcoder", .single_digits = true},
    SpelledCut{.name = "llama-bpe", .words = kLlama3Words, .whole_words_first = true},
    SpelledCut{.name = "llama3", .words = kLlama3Words, .whole_words_first = true},
    SpelledCut{.name = "llama-v3", .words = kLlama3Words, .whole_words_first = true},
    SpelledCut{.name = "dbrx", .words = kLlama3Words},
    SpelledCut{.name = "smaug-bpe", .words = kLlama3Words},
    SpelledCut{.name = "qwen2", .words = kQwen2Words, .nfc = true},
    SpelledCut{.name = "tekken", .words = kTekkenWords, .whole_words_first = true},
    SpelledCut{.name = "gpt-4o", .words = kGpt4oWords},
};

}  // namespace

ordered_json SpelledCut::pre_tokenizer() const {
  ordered_json bytes = {{"type", "ByteLevel"},
                        {"add_prefix_space", false},
                        {"trim_offsets", true},
                        {"use_regex", words == nullptr}};
  ordered_json first;
  if (single_digits) first = {{"type", "Digits"}, {"individual_digits", true}};
  if (words != nullptr) {
    first = {{"type", "Split"},
             {"pattern", {{"Regex", words}}},
             {"behavior", "Isolated"},
             {"invert", false}};
  }
  if (first.is_null()) return bytes;
  return {{"type", "Sequence"}, {"pretokenizers", ordered_json::array({first, bytes})}};
}

Result<SpelledCut> find_spelled_cut(std::string_view name) {
  const auto found = std::ranges::find(kCuts, name, &SpelledCut::name);
  if (found != kCuts.end()) return *found;
  return fail(ErrorCode::kBadFile, "the tokenizer cuts text as {} does; converted are {}",
              in_quotes(name), spelled_cut_names());
}

std::span<const SpelledCut> spelled_cuts() {
  return kCuts;
}

std::string spelled_cut_names() {
  std::string all;
  for (const SpelledCut& cut : kCuts) all += fmt::format("{}{}", all.empty() ? "" : ", ", cut.name);
  return all;
}

}  // namespace spillway::formats

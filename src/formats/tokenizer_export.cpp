// What the tokenizers package means by each part: its documentation and source, version 0.22.
#include "formats/tokenizer_export.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <tuple>

#include "formats/tokenizer.h"
#include "formats/tokenizer_cuts.h"
#include "formats/tokenizer_description.h"
#include "formats/tokenizer_spaces.h"

namespace spillway::formats {
namespace {

using nlohmann::ordered_json;

ordered_json replace(std::string_view from, std::string_view to) {
  return {{"type", "Replace"}, {"pattern", {{"String", from}}}, {"content", to}};
}

// The parts of tokenizer.json beside the vocabulary.
// NOLINTNEXTLINE(bugprone-exception-escape): a JSON value that is empty or moved throws nothing.
struct Parts {
  ordered_json normalizer;
  ordered_json pre_tokenizer;
  ordered_json decoder;
  std::optional<std::string> unknown;
  bool byte_fallback = false;
  bool whole_words_first = false;
};

Result<Parts> byte_level_parts(std::string_view pre) {
  SPILLWAY_ASSIGN(const SpelledCut cut, find_spelled_cut(pre));
  Parts parts;
  if (cut.nfc) parts.normalizer = {{"type", "NFC"}};
  parts.pre_tokenizer = cut.pre_tokenizer();
  parts.decoder = {{"type", "ByteLevel"},
                   {"add_prefix_space", true},
                   {"trim_offsets", true},
                   {"use_regex", true}};
  parts.whole_words_first = cut.whole_words_first;
  return parts;
}

Parts sentence_piece_parts(const TokenizerDescription& d) {
  Parts parts;
  ordered_json normalizers = ordered_json::array();
  ordered_json decoders = {
      replace(kSpelledSpace, " "), {{"type", "ByteFallback"}}, {{"type", "Fuse"}}};
  if (d.add_space_prefix) {
    normalizers.push_back({{"type", "Prepend"}, {"prepend", kSpelledSpace}});
    decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  normalizers.push_back(replace(" ", kSpelledSpace));
  parts.normalizer = {{"type", "Sequence"}, {"normalizers", normalizers}};
  parts.decoder = {{"type", "Sequence"}, {"decoders", decoders}};
  parts.unknown = std::string(d.tokens[static_cast<size_t>(d.unknown.value_or(0))]);
  parts.byte_fallback = true;
  return parts;
}

// SentencePiece joins the pair whose token has the best score; BPE takes the first of a list.
StringArray merges_of_scores(const TokenizerDescription& d) {
  std::vector<uint32_t> by_text(d.tokens.size());
  std::iota(by_text.begin(), by_text.end(), 0U);
  const auto text = [&](uint32_t i) { return d.tokens[i]; };
  std::ranges::stable_sort(by_text, {}, text);
  const auto find = [&](std::string_view part) -> std::optional<uint32_t> {
    const auto found = std::ranges::lower_bound(by_text, part, {}, text);
    if (found == by_text.end() || text(*found) != part) return std::nullopt;
    return *found;
  };
  struct Merge {
    float cost;
    uint32_t left, right;
  };
  std::vector<Merge> merges;
  for (uint32_t i = 0; i < d.tokens.size(); ++i) {
    if (!d.types.empty() && d.types[i] != static_cast<int64_t>(TokenType::kNormal)) continue;
    const std::string_view whole = d.tokens[i];
    for (size_t cut = 1; cut < whole.size(); ++cut) {
      if ((static_cast<unsigned char>(whole[cut]) & 0xC0) == 0x80) continue;  // within a character
      const auto left = find(whole.substr(0, cut));
      const auto right = left ? find(whole.substr(cut)) : std::nullopt;
      if (right) merges.push_back({-d.scores[i], *left, *right});
    }
  }
  std::ranges::sort(merges, {}, [](const Merge& m) { return std::tuple(m.cost, m.left, m.right); });
  StringArray pairs;
  for (const Merge& merge : merges)
    pairs.push_back(fmt::format("{} {}", d.tokens[merge.left], d.tokens[merge.right]));
  return pairs;
}

// Where a merge's two tokens part. None of them has a space inside, but one may be a space.
size_t middle_of(std::string_view merge) {
  return std::min(merge.find(' ', 1), merge.size());
}

std::string text_json(std::string_view text) {
  return ordered_json(text).dump();
}

ordered_json added_tokens(const TokenizerDescription& d) {
  ordered_json list = ordered_json::array();
  for (size_t i = 0; i < d.types.size(); ++i) {
    const TokenType type{static_cast<int32_t>(d.types[i])};
    const bool special = type == TokenType::kControl || type == TokenType::kUnknown;
    if (!special && type != TokenType::kUserDefined) continue;
    const auto rule = std::ranges::find(d.added, static_cast<TokenId>(i), &AddedTokenRule::id);
    const AddedTokenRule says = rule == d.added.end() ? AddedTokenRule{} : *rule;
    list.push_back({{"id", i},
                    {"content", d.tokens[i]},
                    {"single_word", says.single_word},
                    {"lstrip", says.lstrip},
                    {"rstrip", says.rstrip},
                    {"normalized", says.normalized},
                    {"special", special}});
  }
  return list;
}

ordered_json post_processor(const TokenizerDescription& d) {
  if (!d.add_bos || !d.bos) return nullptr;
  const std::string_view bos = d.tokens[static_cast<size_t>(*d.bos)];
  const auto special = [&](int type) -> ordered_json {
    return {{"SpecialToken", {{"id", bos}, {"type_id", type}}}};
  };
  const auto sequence = [](const char* name, int type) -> ordered_json {
    return {{"Sequence", {{"id", name}, {"type_id", type}}}};
  };
  ordered_json tokens = ordered_json::object();
  tokens[std::string(bos)] = {{"id", bos}, {"ids", {*d.bos}}, {"tokens", {bos}}};
  return {{"type", "TemplateProcessing"},
          {"single", {special(0), sequence("A", 0)}},
          {"pair", {special(0), sequence("A", 0), special(1), sequence("B", 1)}},
          {"special_tokens", tokens}};
}

// By hand: a tree of a large vocabulary would take a hundred MiB.
std::string tokenizer_json(const TokenizerDescription& d, const Parts& parts,
                           const StringArray& merges) {
  std::string text = fmt::format(
      R"({{"version":"1.0","truncation":null,"padding":null,"added_tokens":{},"normalizer":{},)"
      R"("pre_tokenizer":{},"post_processor":{},"decoder":{},"model":{{"type":"BPE",)"
      R"("dropout":null,"unk_token":{},"continuing_subword_prefix":null,)"
      R"("end_of_word_suffix":null,"fuse_unk":{},"byte_fallback":{},"ignore_merges":{},"vocab":{{)",
      added_tokens(d).dump(), parts.normalizer.dump(), parts.pre_tokenizer.dump(),
      post_processor(d).dump(), parts.decoder.dump(),
      parts.unknown ? text_json(*parts.unknown) : "null", parts.byte_fallback, parts.byte_fallback,
      parts.whole_words_first);
  for (size_t i = 0; i < d.tokens.size(); ++i)
    text += fmt::format("{}{}:{}", i == 0 ? "" : ",", text_json(d.tokens[i]), i);
  text += R"(},"merges":[)";
  for (size_t i = 0; i < merges.size(); ++i) {
    const size_t middle = middle_of(merges[i]);
    text += fmt::format("{}[{},{}]", i == 0 ? "" : ",", text_json(merges[i].substr(0, middle)),
                        text_json(merges[i].substr(std::min(middle + 1, merges[i].size()))));
  }
  text += "]}}\n";
  return text;
}

Result<std::string> config_json(const GgufFile& file, const TokenizerDescription& d,
                                uint64_t context_length) {
  ordered_json config = {{"tokenizer_class", "PreTrainedTokenizerFast"}};
  const auto add = [&](const char* name, std::optional<TokenId> id) {
    if (id) config[name] = d.tokens[static_cast<size_t>(*id)];
  };
  add("bos_token", d.bos);
  add("eos_token", d.eos);
  add("unk_token", d.unknown);
  add("pad_token", d.padding);
  config["model_max_length"] = context_length;
  config["clean_up_tokenization_spaces"] = false;
  if (file.find("tokenizer.chat_template") != nullptr) {
    SPILLWAY_ASSIGN(config["chat_template"], file.string_value("tokenizer.chat_template"));
  }
  return config.dump(2) + "\n";
}

}  // namespace

Result<ExportedTokenizer> export_tokenizer(GgufFile& file, uint64_t context_length) try {
  std::string pre = "default";
  if (file.find(gguf_tokenizer_key("pre")) != nullptr) {
    SPILLWAY_ASSIGN(pre, file.string_value(gguf_tokenizer_key("pre")));
  }
  SPILLWAY_ASSIGN(const TokenizerDescription d, take_tokenizer_description(file));
  const bool bytes = d.model == "gpt2";
  SPILLWAY_ASSIGN(const Parts parts,
                  bytes ? byte_level_parts(pre) : Result<Parts>(sentence_piece_parts(d)));
  SPILLWAY_ASSIGN(std::string config, config_json(file, d, context_length));
  const StringArray of_scores = bytes ? StringArray() : merges_of_scores(d);
  return ExportedTokenizer{tokenizer_json(d, parts, bytes ? d.merges : of_scores),
                           std::move(config)};
} catch (const nlohmann::json::type_error& error) {
  return fail(ErrorCode::kBadFile, "a token or the chat template is not UTF-8: {}", error.what());
}

}  // namespace spillway::formats

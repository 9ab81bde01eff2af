// Tokenizer: special tokens cut out of the text, the rest left to the family; see tokenizer.h.
#include "formats/tokenizer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/check.h"
#include "formats/tokenizer_description.h"
#include "formats/tokenizer_family.h"
#include "formats/tokenizer_special.h"
#include "formats/tokenizer_vocabulary.h"

namespace spillway::formats {
namespace {

// What chat models end a turn with, where the file does not say so itself.
constexpr std::array<std::string_view, 11> kEndTexts = {
    "<|im_end|>",      "<|eot_id|>",         "<|eom_id|>", "<|end|>",
    "<|endoftext|>",   "<end_of_turn>",      "<EOT>",      "<|end_of_text|>",
    "<|end_of_turn|>", "<end_of_utterance>", "</s>"};

std::vector<TokenId> end_tokens(const TokenizerDescription& from) {
  std::vector<TokenId> ends = from.ends;
  for (const auto& id : {from.eos, from.eot})
    if (id) ends.push_back(*id);
  for (size_t i = 0; i < from.types.size(); ++i) {
    const TokenType type{static_cast<int32_t>(from.types[i])};
    if (type != TokenType::kControl && type != TokenType::kUserDefined) continue;
    if (is_end_text(from.tokens[i])) ends.push_back(static_cast<TokenId>(i));
  }
  return ends;
}

// Some files call the tokens that end a turn user-defined. They are control tokens all the same:
// text that a user types must not end a turn.
void make_control(const std::vector<TokenId>& ids, std::vector<int64_t>& types) {
  if (types.empty()) return;
  for (const TokenId id : ids) {
    int64_t& type = types[static_cast<size_t>(id)];
    if (type == static_cast<int32_t>(TokenType::kUserDefined))
      type = static_cast<int32_t>(TokenType::kControl);
  }
}

Result<std::unique_ptr<TokenizerFamily>> make_family(const Vocabulary& vocabulary,
                                                     TokenizerDescription from) {
  if (from.model == "llama") return make_sentencepiece_bpe(vocabulary, std::move(from));
  return make_merge_list_bpe(vocabulary, from);
}

// Whether text is given a space in front only where all of it begins.
bool adds_space_at_start_only(const std::vector<TextStep>& steps) {
  return std::ranges::any_of(
      steps, [](const TextStep& step) { return step.kind == TextStep::Kind::kPrependAtStart; });
}

}  // namespace

bool is_end_text(std::string_view text) {
  return std::ranges::find(kEndTexts, text) != kEndTexts.end();
}

struct Tokenizer::State {
  explicit State(TokenizerDescription& from)
      : vocabulary(std::move(from.tokens), from.types),
        normalizer(std::move(from.normalizer)),
        preparation(std::move(from.preparation)),
        specials(SpecialTokens::of_plain_text(vocabulary, from.added)),
        normalized_specials(SpecialTokens::of_normalized_text(vocabulary, from.added, normalizer)),
        bos(from.bos),
        eos(from.eos),
        add_bos(from.add_bos),
        add_eos(from.add_eos),
        spells_added_tokens(from.model == "bpe") {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  Vocabulary vocabulary;  // the family refers to it
  TextSteps normalizer, preparation;
  SpecialTokens specials, normalized_specials;
  std::unique_ptr<TokenizerFamily> family;
  std::vector<TokenId> ends;
  std::optional<TokenId> bos, eos;
  bool add_bos, add_eos;
  bool spells_added_tokens;  // user-defined tokens write spaces as the others do
  bool space_at_start_only = false;

  void encode_text(std::string_view text, bool at_start, bool parse_special,
                   std::vector<TokenId>& ids) const;
  void append_piece(TokenId id, bool special, std::string& out) const;
};

Tokenizer::Tokenizer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Result<Tokenizer> Tokenizer::create(TokenizerDescription description) {
  SPILLWAY_TRY(check_tokenizer_description(description));
  std::vector<TokenId> ends = end_tokens(description);
  make_control(ends, description.types);
  const bool space_at_start_only = adds_space_at_start_only(description.preparation);
  auto state = std::make_unique<State>(description);
  state->ends = std::move(ends);
  state->space_at_start_only = space_at_start_only;
  SPILLWAY_ASSIGN(state->family, make_family(state->vocabulary, std::move(description)));
  return Tokenizer(std::move(state));
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  std::vector<TokenId> ids;
  if (options.add_special && state_->add_bos && state_->bos) ids.push_back(*state_->bos);
  state_->specials.cut(
      text, options.parse_special,
      [&](std::string_view part, size_t begin) {
        state_->encode_text(part, begin == 0, options.parse_special, ids);
      },
      [&](TokenId id) { ids.push_back(id); });
  if (options.add_special && state_->add_eos && state_->eos) ids.push_back(*state_->eos);
  return ids;
}

// What stands between the special tokens of the text as it came.
void Tokenizer::State::encode_text(std::string_view text, bool at_start, bool parse_special,
                                   std::vector<TokenId>& ids) const {
  if (normalizer.empty() && preparation.empty() && normalized_specials.empty())
    return family->encode(text, ids);
  const std::string normalized = normalizer.apply(text, at_start);
  normalized_specials.cut(
      normalized, parse_special,
      [&](std::string_view part, size_t begin) {
        if (preparation.empty()) return family->encode(part, ids);
        family->encode(preparation.apply(part, at_start && begin == 0), ids);
      },
      [&](TokenId id) { ids.push_back(id); });
}

void Tokenizer::State::append_piece(TokenId id, bool special, std::string& out) const {
  const std::string_view text = vocabulary.text(id);
  switch (vocabulary.type(id)) {
    case TokenType::kControl:
    case TokenType::kUnknown:
      if (special) out += text;
      return;
    case TokenType::kUserDefined:
      if (spells_added_tokens)
        family->decode(text, out);
      else
        out += text;
      return;
    case TokenType::kByte:
      out += static_cast<char>(byte_of_token(text).value_or(0));
      return;
    case TokenType::kNormal:
    case TokenType::kUnused:
      family->decode(text, out);
      return;
  }
}

std::string Tokenizer::piece(TokenId id, bool special) const {
  SPILLWAY_CHECK(id >= 0 && static_cast<size_t>(id) < size());
  std::string out;
  state_->append_piece(id, special, out);
  return out;
}

std::string Tokenizer::decode(const std::vector<TokenId>& ids, bool special) const {
  std::string out;
  bool after_special = true;  // where encode adds a space, if this family does
  for (const TokenId id : ids) {
    SPILLWAY_CHECK(id >= 0 && static_cast<size_t>(id) < size());
    const size_t begin = out.size();
    state_->append_piece(id, special, out);
    const bool parsed = type(id) == TokenType::kControl || type(id) == TokenType::kUserDefined ||
                        (type(id) == TokenType::kUnknown && !state_->family->may_give_unknown());
    if (!parsed && after_special && state_->family->adds_space() && out.size() > begin &&
        out[begin] == ' ')
      out.erase(begin, 1);
    after_special = parsed && !state_->space_at_start_only;
  }
  return out;
}

size_t Tokenizer::size() const {
  return state_->vocabulary.size();
}
std::string_view Tokenizer::token_text(TokenId id) const {
  return state_->vocabulary.text(id);
}
TokenType Tokenizer::type(TokenId id) const {
  return state_->vocabulary.type(id);
}
std::optional<TokenId> Tokenizer::bos() const {
  return state_->bos;
}
std::optional<TokenId> Tokenizer::eos() const {
  return state_->eos;
}
bool Tokenizer::add_bos() const {
  return state_->add_bos;
}

bool Tokenizer::is_end(TokenId id) const {
  return std::ranges::find(state_->ends, id) != state_->ends.end();
}

size_t Tokenizer::memory_bytes() const {
  return sizeof(State) + state_->vocabulary.memory_bytes() + state_->specials.memory_bytes() +
         state_->normalized_specials.memory_bytes() + state_->normalizer.memory_bytes() +
         state_->preparation.memory_bytes() + state_->family->memory_bytes() +
         state_->ends.capacity() * sizeof(TokenId);
}

}  // namespace spillway::formats

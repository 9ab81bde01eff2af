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
  std::vector<TokenId> ends;
  for (const auto& id : {from.eos, from.eot})
    if (id) ends.push_back(*id);
  for (size_t i = 0; i < from.types.size(); ++i) {
    const TokenType type{static_cast<int32_t>(from.types[i])};
    if (type != TokenType::kControl && type != TokenType::kUserDefined) continue;
    if (std::ranges::find(kEndTexts, from.tokens[i]) != kEndTexts.end())
      ends.push_back(static_cast<TokenId>(i));
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
  if (from.model == "gpt2") return make_byte_level_bpe(vocabulary, from);
  return make_sentencepiece_bpe(vocabulary, std::move(from));
}

}  // namespace

struct Tokenizer::State {
  State(StringArray texts, const std::vector<int64_t>& types)
      : vocabulary(std::move(texts), types), specials(vocabulary) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  Vocabulary vocabulary;  // family and specials refer to it
  SpecialTokens specials;
  std::unique_ptr<TokenizerFamily> family;
  std::vector<TokenId> ends;
  std::optional<TokenId> bos, eos;
  bool add_bos = false;
  bool add_eos = false;

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
  auto state = std::make_unique<State>(std::move(description.tokens), description.types);
  state->ends = std::move(ends);
  state->bos = description.bos;
  state->eos = description.eos;
  state->add_bos = description.add_bos;
  state->add_eos = description.add_eos;
  SPILLWAY_ASSIGN(state->family, make_family(state->vocabulary, std::move(description)));
  return Tokenizer(std::move(state));
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  std::vector<TokenId> ids;
  if (options.add_special && state_->add_bos && state_->bos) ids.push_back(*state_->bos);
  for (size_t begin = 0; begin < text.size();) {
    const auto found = state_->specials.find(text, begin, options.parse_special);
    if (found.begin > begin) state_->family->encode(text.substr(begin, found.begin - begin), ids);
    if (found.begin == text.size()) break;
    ids.push_back(found.id);
    begin = found.begin + token_text(found.id).size();
  }
  if (options.add_special && state_->add_eos && state_->eos) ids.push_back(*state_->eos);
  return ids;
}

void Tokenizer::State::append_piece(TokenId id, bool special, std::string& out) const {
  const std::string_view text = vocabulary.text(id);
  switch (vocabulary.type(id)) {
    case TokenType::kControl:
    case TokenType::kUnknown:
      if (special) out += text;
      return;
    case TokenType::kUserDefined:
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
    after_special = parsed;
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
         state_->family->memory_bytes() + state_->ends.capacity() * sizeof(TokenId);
}

}  // namespace spillway::formats

// See tokenizer_special.h. What the rules mean: the tokenizers package's AddedVocabulary.
#include "formats/tokenizer_special.h"

#include <algorithm>
#include <unordered_map>

namespace spillway::formats {
namespace {

bool is_special(TokenType type) {
  return type == TokenType::kControl || type == TokenType::kUserDefined ||
         type == TokenType::kUnknown;
}

}  // namespace

void SpecialTokens::add(const Vocabulary& vocabulary, std::string text, AddedTokenRule rule) {
  if (text.empty()) return;
  begins_[static_cast<uint8_t>(text.front())] = true;
  const bool is_control = vocabulary.type(rule.id) != TokenType::kUserDefined;
  tokens_.push_back({.text = std::move(text), .is_control = is_control, .rule = rule});
}

void SpecialTokens::sort() {
  tokens_.shrink_to_fit();
  std::ranges::stable_sort(tokens_, {}, &Token::text);
}

SpecialTokens SpecialTokens::of_plain_text(const Vocabulary& vocabulary,
                                           const std::vector<AddedTokenRule>& rules) {
  std::unordered_map<TokenId, AddedTokenRule> rule_of;
  for (const AddedTokenRule& rule : rules) rule_of[rule.id] = rule;
  SpecialTokens made;
  for (size_t i = 0; i < vocabulary.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    if (!is_special(vocabulary.type(id))) continue;
    const auto rule = rule_of.find(id);
    if (rule == rule_of.end())
      made.add(vocabulary, std::string(vocabulary.text(id)), {.id = id});
    else if (!rule->second.normalized)
      made.add(vocabulary, std::string(vocabulary.text(id)), rule->second);
  }
  made.sort();
  return made;
}

SpecialTokens SpecialTokens::of_normalized_text(const Vocabulary& vocabulary,
                                                const std::vector<AddedTokenRule>& rules,
                                                const TextSteps& normalizer) {
  SpecialTokens made;
  for (const AddedTokenRule& rule : rules)
    if (rule.normalized && is_special(vocabulary.type(rule.id)))
      made.add(vocabulary, normalizer.apply(vocabulary.text(rule.id), true), rule);
  made.sort();
  return made;
}

SpecialTokens::Found SpecialTokens::find(std::string_view text, size_t from, bool control) const {
  for (size_t i = from; i < text.size(); ++i) {
    if (!begins_[static_cast<uint8_t>(text[i])]) continue;
    const Token* token = longest_at(text.substr(i), control);
    if (token == nullptr) continue;
    const AddedTokenRule& rule = token->rule;
    Found found{.begin = i, .end = i + token->text.size(), .id = rule.id};
    if (rule.single_word &&
        (ends_with_word(text.substr(0, i)) || begins_with_word(text.substr(found.end)))) {
      i = found.end - 1;
      continue;
    }
    if (rule.lstrip) found.begin -= trailing_white_space(text.substr(from, i - from));
    if (rule.rstrip) found.end += leading_white_space(text.substr(found.end));
    return found;
  }
  return {text.size(), text.size(), kNoToken};
}

// Narrows the sorted tokens byte by byte to those that `text` still agrees with.
const SpecialTokens::Token* SpecialTokens::longest_at(std::string_view text, bool control) const {
  const Token* longest = nullptr;
  auto begin = tokens_.begin();
  auto end = tokens_.end();
  for (size_t size = 0; begin != end; ++size) {
    // The token that ends here, if there is one, is the first of those left.
    for (; begin != end && begin->text.size() == size; ++begin)
      if (control || !begin->is_control) longest = &*begin;
    if (size == text.size()) break;
    const auto byte_here = [&](const Token& token) {
      return static_cast<uint8_t>(token.text[size]);
    };
    // Not equal_range: clang 14 cannot read libstdc++ 12's subrange, and the fuzzer needs clang.
    const auto byte = static_cast<uint8_t>(text[size]);
    begin = std::ranges::lower_bound(begin, end, byte, {}, byte_here);
    end = std::ranges::upper_bound(begin, end, byte, {}, byte_here);
  }
  return longest;
}

size_t SpecialTokens::memory_bytes() const {
  size_t bytes = tokens_.capacity() * sizeof(Token);
  for (const Token& token : tokens_) bytes += token.text.capacity();
  return bytes;
}

}  // namespace spillway::formats

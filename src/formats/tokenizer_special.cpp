// See tokenizer_special.h.
#include "formats/tokenizer_special.h"

#include <algorithm>

namespace spillway::formats {

SpecialTokens::SpecialTokens(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {
  for (size_t i = 0; i < vocabulary.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    const TokenType type = vocabulary.type(id);
    const bool special = type == TokenType::kControl || type == TokenType::kUserDefined ||
                         type == TokenType::kUnknown;
    const std::string_view text = vocabulary.text(id);
    if (!special || text.empty()) continue;
    ids_.push_back(id);
    begins_[static_cast<uint8_t>(text.front())] = true;
  }
  ids_.shrink_to_fit();
  std::ranges::stable_sort(ids_, {}, [&](TokenId id) { return vocabulary.text(id); });
}

SpecialTokens::Found SpecialTokens::find(std::string_view text, size_t from, bool control) const {
  for (size_t i = from; i < text.size(); ++i) {
    if (!begins_[static_cast<uint8_t>(text[i])]) continue;
    if (const auto id = longest_at(text.substr(i), control)) return {i, *id};
  }
  return {text.size(), kNoToken};
}

// Narrows the sorted tokens byte by byte to those that `text` still agrees with.
std::optional<TokenId> SpecialTokens::longest_at(std::string_view text, bool control) const {
  std::optional<TokenId> longest;
  auto begin = ids_.begin();
  auto end = ids_.end();
  for (size_t size = 0; begin != end; ++size) {
    // The token that ends here, if there is one, is the first of those left.
    for (; begin != end && vocabulary_.text(*begin).size() == size; ++begin)
      if (control || vocabulary_.type(*begin) == TokenType::kUserDefined) longest = *begin;
    if (size == text.size()) break;
    const auto byte_here = [&](TokenId id) {
      return static_cast<uint8_t>(vocabulary_.text(id)[size]);
    };
    // Not equal_range: clang 14 cannot read libstdc++ 12's subrange, and the fuzzer needs clang.
    const auto byte = static_cast<uint8_t>(text[size]);
    begin = std::ranges::lower_bound(begin, end, byte, {}, byte_here);
    end = std::ranges::upper_bound(begin, end, byte, {}, byte_here);
  }
  return longest;
}

}  // namespace spillway::formats

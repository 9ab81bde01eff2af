// The tokens of one tokenizer: their texts as the file spells them and their types. Owned by the
// Tokenizer; immutable once filled.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "formats/gguf.h"
#include "formats/tokenizer.h"

namespace spillway::formats {

constexpr TokenId kNoToken = -1;

class Vocabulary {
 public:
  Vocabulary() = default;
  // `types` is empty (all normal) or has one entry per token, each a TokenType.
  Vocabulary(StringArray texts, const std::vector<int64_t>& types)
      : texts_(std::move(texts)), types_(types.begin(), types.end()) {
    types_.resize(texts_.size(), static_cast<uint8_t>(TokenType::kNormal));
  }

  size_t size() const { return texts_.size(); }
  std::string_view text(TokenId id) const { return texts_[static_cast<size_t>(id)]; }
  TokenType type(TokenId id) const { return TokenType{types_[static_cast<size_t>(id)]}; }
  size_t memory_bytes() const { return texts_.memory_bytes() + types_.capacity(); }

 private:
  StringArray texts_;
  std::vector<uint8_t> types_;
};

}  // namespace spillway::formats

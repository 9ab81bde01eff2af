// A template's source into tokens: text, and what stands inside {{ }} and {% %}. White space
// control, comments and raw blocks end here. Pure functions; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace spillway::formats::jinja {

enum class TokenKind {
  kData,
  kVariableBegin,
  kVariableEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,  // text is what the literal stands for
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string text;
  size_t line = 1;
};

// Behaves as jinja2 with trim_blocks and lstrip_blocks. The last token is kEnd.
Result<std::vector<Token>> tokenize(std::string_view source);

// What tokenize uses inside a tag (tag_lexer.cpp): the token at `at`, which lies within the source
// and not on white space; `at` moves behind it.
Result<Token> read_tag_token(std::string_view source, size_t& at);

}  // namespace spillway::formats::jinja

#include "engine/grammar_constraint.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"
#include "base/units.h"
#include "engine/answer_text.h"

namespace spillway::engine {
namespace {

using formats::GrammarMatcher;
using formats::TokenId;

// The matcher's tables, as large as they get before it is trimmed.
constexpr uint64_t kMatcherBytes = 6 * kMiB;

size_t common_bytes(std::string_view a, std::string_view b) {
  return static_cast<size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first -
                             a.begin());
}

}  // namespace

GrammarConstraint::GrammarConstraint(const formats::Grammar& grammar,
                                     const formats::Tokenizer& tokenizer)
    : tokenizer_(tokenizer), matcher_(grammar), state_(matcher_.start()) {
  std::vector<std::string> texts(tokenizer.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    if (tokenizer.is_end(id)) continue;
    texts[i] = tokenizer.piece(id);
    if (!texts[i].empty()) order_.push_back(id);
  }
  const auto text = [&](TokenId id) -> std::string& { return texts[static_cast<size_t>(id)]; };
  std::sort(order_.begin(), order_.end(), [&](TokenId a, TokenId b) { return text(a) < text(b); });
  texts_.reserve(order_.size());
  for (const TokenId id : order_) texts_.push_back(std::move(text(id)));
}

uint64_t GrammarConstraint::memory_bytes(const formats::Tokenizer& tokenizer) {
  return kMatcherBytes + tokenizer.size() * (2 * sizeof(std::string) + sizeof(TokenId));
}

void GrammarConstraint::begin(TokenId before) {
  state_ = matcher_.start();
  before_ = before;
  first_ = true;
}

bool GrammarConstraint::matches(std::string_view text) {
  return !text.empty() && matcher_.advance(state_, text) != GrammarMatcher::kDead;
}

bool GrammarConstraint::allows(TokenId id) {
  if (tokenizer_.is_end(id)) return matcher_.complete(state_);
  return matches(first_ ? text_after(tokenizer_, before_, id) : tokenizer_.piece(id));
}

void GrammarConstraint::mark_allowed(std::vector<bool>& allowed) {
  SPILLWAY_CHECK(allowed.size() == tokenizer_.size());
  for (size_t i = 0; i < allowed.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    if (first_ || tokenizer_.is_end(id)) allowed[i] = allows(id);
  }
  if (!first_) mark_by_texts(allowed);
}

// Of each text only what differs from the one before is followed.
void GrammarConstraint::mark_by_texts(std::vector<bool>& allowed) {
  std::vector<State> path = {state_};  // after each byte of `text`
  std::string_view previous;
  for (size_t i = 0; i < order_.size(); ++i) {
    const std::string_view text = texts_[i];
    path.resize(common_bytes(previous, text) + 1);
    while (path.size() <= text.size())
      path.push_back(matcher_.advance(path.back(), static_cast<uint8_t>(text[path.size() - 1])));
    if (path.back() != GrammarMatcher::kDead) allowed[static_cast<size_t>(order_[i])] = true;
    previous = text;
    path.push_back(state_);
    matcher_.trim(path);
    state_ = path.back();
    path.pop_back();
  }
}

Result<void> GrammarConstraint::accept(TokenId id) {
  const std::string text = first_ ? text_after(tokenizer_, before_, id) : tokenizer_.piece(id);
  std::vector<State> live = {matcher_.advance(state_, text)};
  if (live[0] == GrammarMatcher::kDead)
    return fail(ErrorCode::kUsage, "token {} does not follow the grammar", id);
  matcher_.trim(live);
  state_ = live[0];
  first_ = false;
  return {};
}

}  // namespace spillway::engine

// Any bytes as a grammar (GBNF) or as a JSON schema, and any bytes as a text to be matched: the
// input is the one, a zero byte, and the other. Seeds: tests/fuzz/corpus/grammar. Run with
//   build/fuzz/bin/fuzz_grammar -dict=tests/fuzz/grammar.dict -max_len=2048 CORPUS…
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "formats/grammar.h"
#include "formats/grammar_matcher.h"
#include "formats/json_schema.h"

namespace {

using spillway::ErrorCode;
using spillway::formats::Grammar;
using spillway::formats::GrammarMatcher;

constexpr size_t kMostText = 64;

void match(const Grammar& grammar, std::string_view text) {
  GrammarMatcher matcher(grammar);
  // With and without forgetting, the answers are the same.
  GrammarMatcher forgetful(grammar);
  GrammarMatcher::State state = matcher.start();
  std::vector<GrammarMatcher::State> live = {forgetful.start()};
  for (const char c : text.substr(0, kMostText)) {
    const auto byte = static_cast<uint8_t>(c);
    state = matcher.advance(state, byte);
    live[0] = forgetful.advance(live[0], byte);
    forgetful.trim(live);
    SPILLWAY_CHECK(matcher.complete(state) == forgetful.complete(live[0]));
    SPILLWAY_CHECK((state == GrammarMatcher::kDead) == (live[0] == GrammarMatcher::kDead));
    SPILLWAY_CHECK(!matcher.finished(state) || matcher.complete(state));
    if (state == GrammarMatcher::kDead) return;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(input.find('\0'), input.size());
  const std::string_view text = input.substr(std::min(end + 1, input.size()));
  for (const auto& grammar : {Grammar::parse_gbnf(input.substr(0, end)),
                              spillway::formats::json_schema_grammar(input.substr(0, end))}) {
    if (grammar) {
      SPILLWAY_CHECK(grammar->symbols().size() <= Grammar::kMostSymbols);
      match(*grammar, text);
    } else {
      SPILLWAY_CHECK(grammar.error().code == ErrorCode::kUsage);
      SPILLWAY_CHECK(!grammar.error().message.empty());
    }
  }
  return 0;
}

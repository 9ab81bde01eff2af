#include "cli/answer_options.h"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <limits>

#include "cli/text_file.h"
#include "formats/json_schema.h"

namespace spillway::cli {
namespace {

// "15043-1.5", "15043+inf" without the plus's infinity: an id, a sign, a number.
Result<void> add_bias(const std::string& text, std::map<formats::TokenId, double>& bias) {
  formats::TokenId id = 0;
  const char* end = text.data() + text.size();
  const auto [rest, problem] = std::from_chars(text.data(), end, id);
  const bool signed_value = problem == std::errc() && id >= 0 && end - rest > 1 &&
                            (*rest == '+' || *rest == '-') && std::isspace(rest[1]) == 0;
  char* behind = nullptr;
  const double value = signed_value ? std::strtod(rest, &behind) : 0;
  if (!signed_value || behind != end || std::isnan(value) ||
      value == std::numeric_limits<double>::infinity()) {
    return fail(ErrorCode::kUsage,
                "--logit-bias {}: write a token's id, a sign and a number (15043+1.5, or 15043-inf "
                "for never); 'spillway tokenize' tells ids",
                text);
  }
  bias[id] = value;
  return {};
}

void add_sampling(Command& command, engine::SamplingOptions& sampling) {
  command.add_option("--temperature,--temp", sampling.temperature, "0: the likeliest token always")
      .show_default();
  command.add_option("--top-k", sampling.top_k, "the k likeliest tokens; 0: all").show_default();
  command.add_option("--top-p", sampling.top_p, "the fewest tokens that reach p together")
      .show_default();
  command
      .add_option("--min-p", sampling.min_p, "tokens at least p times as likely as the likeliest")
      .show_default();
  command.add_option("--repeat-penalty", sampling.repeat_penalty, "of the last tokens; 1: none")
      .show_default();
  command
      .add_option("--presence-penalty", sampling.presence_penalty,
                  "taken from the logits of tokens that the answer has already")
      .show_default();
  command
      .add_option("--frequency-penalty", sampling.frequency_penalty,
                  "the same, for every time that it has them")
      .show_default();
  command.add_option("--seed", sampling.seed, "of the dice").show_default();
}

void add_grammar(Command& command, AnswerOptions& options) {
  Command group = command.add_exclusive_group("form", "the form of the answer");
  group
      .add_option("--grammar,--grammar-string", options.grammar,
                  "the answer is a text of this grammar (GBNF), or of the one in this file")
      .type_name("GBNF|FILE");
  group.add_option("--grammar-file", options.grammar_file, "the same, of a file").type_name("FILE");
  group
      .add_option("--json-schema,-j", options.json_schema,
                  "the answer is JSON that is valid under this schema, or the one in this file")
      .type_name("JSON|FILE");
  group.add_option("--json-schema-file", options.json_schema_file, "the same, of a file")
      .type_name("FILE");
}

void add_speculation(Command& command, AnswerOptions& options) {
  const Option lookup =
      command
          .add_option("--lookup", options.lookup,
                      "guess so many tokens from what followed earlier in the text, and check them "
                      "in one pass: same answer, sooner where it repeats; 0: none")
          .range(0, 64)
          .show_default();
  command
      .add_option("--draft,--model-draft", options.draft,
                  "guess tokens with this smaller model of the same vocabulary: same answer")
      .type_name("FILE")
      .excludes(lookup);
  command.add_option("--draft-max", options.draft_max, "tokens that it guesses at once, at most")
      .range(1, 64)
      .show_default();
  command
      .add_option("--draft-p-min", options.draft_least_probability,
                  "it stops guessing where it is less sure than this")
      .range(0.0, 1.0)
      .show_default();
}

void add_sessions(Command& command, AnswerOptions& options) {
  command
      .add_option("--load-session", options.load_session,
                  "go on with a text that was saved; what it computed is not computed again")
      .type_name("FILE");
  command
      .add_option("--save-session", options.save_session,
                  "save the text, the answer included, and what was computed for it")
      .type_name("FILE");
}

bool is_file(const std::string& text, bool looks_like_content) {
  std::error_code ignored;
  return !looks_like_content || std::filesystem::is_regular_file(text, ignored);
}

}  // namespace

void AnswerOptions::add_to(Command& command) {
  command.add_option("-n,--predict", max_tokens, "tokens of an answer, at most")
      .range(1, 1 << 24)
      .show_default();
  command.add_option("--system,-s", system, "a system message in front");
  command.add_flag("--ignore-eos", ignore_end, "go on behind the model's end tokens");
  add_sampling(command, sampling);
  command
      .add_option("--repeat-last-n", repeat_window,
                  "tokens that --repeat-penalty looks at; -1: all, 0: none")
      .range(-1, 1 << 24)
      .show_default();
  command
      .add_option("--logit-bias,-l", bias,
                  "ID+V or ID-V: added to a token's logit; ID-inf: never that token")
      .type_name("ID±V")
      .one_value();
  command
      .add_option("--stop,--reverse-prompt,-r", stop,
                  "a string that ends the answer and is not printed; may be given several times")
      .type_name("TEXT")
      .one_value();
  add_grammar(command, *this);
  add_speculation(command, *this);
  add_sessions(command, *this);
}

Result<void> AnswerOptions::check() {
  SPILLWAY_TRY(sampling.check());
  sampling.repeat_window =
      repeat_window < 0 ? std::numeric_limits<size_t>::max() : static_cast<size_t>(repeat_window);
  for (const std::string& text : bias) SPILLWAY_TRY(add_bias(text, sampling.bias));
  for (const std::string& text : stop) {
    if (text.empty()) return fail(ErrorCode::kUsage, "--stop: an empty string is everywhere");
  }
  const bool formed = !(grammar + grammar_file + json_schema + json_schema_file).empty();
  if (formed && ignore_end) {
    return fail(ErrorCode::kUsage,
                "--ignore-eos: an answer with a grammar ends where the grammar does");
  }
  return {};
}

Result<std::optional<formats::Grammar>> AnswerOptions::parse_grammar() const {
  std::string text = grammar;
  std::string path = grammar_file;
  if (!grammar.empty() && is_file(grammar, grammar.find("::=") != std::string::npos))
    path = grammar;
  const std::string schema = json_schema + json_schema_file;
  if (!schema.empty()) {
    text = json_schema;
    path = json_schema_file;
    const bool json = text.find('{') != std::string::npos || text == "true";
    if (path.empty() && is_file(text, json)) path = text;
  }
  if (!path.empty()) {
    SPILLWAY_ASSIGN(text, read_text_file(path));
  }
  if (text.empty()) return std::optional<formats::Grammar>();
  auto parsed =
      schema.empty() ? formats::Grammar::parse_gbnf(text) : formats::json_schema_grammar(text);
  if (parsed) return *std::move(parsed);
  const std::string flag = schema.empty() ? "--grammar" : "--json-schema";
  return fail_within(path.empty() ? flag : fmt::format("{} {}", flag, path), parsed.error());
}

}  // namespace spillway::cli

// Flags of the commands that answer: how tokens are chosen, and what ends an answer. Values; one
// thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/command_line.h"
#include "engine/generate.h"
#include "formats/grammar.h"

namespace spillway::cli {

struct AnswerOptions {
  size_t max_tokens = 128;
  std::string system;
  bool ignore_end = false;
  engine::SamplingOptions sampling;
  long repeat_window = 64;  // −1: the whole context
  std::vector<std::string> bias;
  std::vector<std::string> stop;
  std::string grammar;  // of the four, one at most
  std::string grammar_file;
  std::string json_schema;
  std::string json_schema_file;
  size_t lookup = 0;  // tokens that are guessed at once; 0: none
  std::string draft;  // a model's file
  size_t draft_max = 8;
  double draft_least_probability = 0.75;
  std::string save_session;
  std::string load_session;

  void add_to(Command& command);
  // Fills in the parts of `sampling` that take several flags. kUsage: a value that makes no sense.
  Result<void> check();
  // None where none was asked for. kUsage: it cannot be read.
  Result<std::optional<formats::Grammar>> parse_grammar() const;
  // Guesses of a pass, at most.
  size_t drafted_tokens() const { return draft.empty() ? lookup : draft_max; }
};

}  // namespace spillway::cli

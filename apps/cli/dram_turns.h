// Decoding and plain reads of memory in turns, so that both meet the same minute of a machine that
// others share: a reading in each pattern, one token that finds caches as the readings left them
// and does not count, then some that do. Thread-compatible.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "machine/dram_reader.h"

namespace spillway::cli {

class DramTurns {
 public:
  // A token reads `token_bytes` of weights. About as much time goes into tokens as into readings;
  // a round has `tokens` that count, at least.
  DramTurns(machine::DramReader reader, const platform::Clock& clock, uint64_t token_bytes,
            size_t tokens);

  // Passes of a round, those that do not count with them.
  size_t passes() const { return turns_ * (counted_ + 1); }
  void begin_round();
  // After the prompt, and after each pass.
  void take_token();

  double tokens_per_second() const;        // the median turn
  double round_tokens_per_second() const;  // of the turns since begin_round()
  double bytes_per_second() const;         // of the faster pattern: its median
  double share() const;                    // of its rate in the same turn: the median turn
  nlohmann::ordered_json json() const;
  std::string text() const;  // one line without its end

 private:
  struct Turn {
    double tokens_per_second;
    std::array<double, machine::kReadPatterns.size()> read;  // bytes per second
  };

  void read();
  double speed_since(size_t turn) const;
  size_t faster_pattern() const;
  std::vector<double> reads(size_t pattern) const;
  std::vector<double> shares() const;

  machine::DramReader reader_;
  const platform::Clock& clock_;
  const double token_bytes_;
  size_t counted_;  // tokens of a turn
  size_t turns_;    // of a round
  size_t at_ = 0;   // tokens of this round
  double started_ = 0;
  Turn turn_ = {};
  std::vector<Turn> done_;
  size_t round_begin_ = 0;  // among them
};

}  // namespace spillway::cli

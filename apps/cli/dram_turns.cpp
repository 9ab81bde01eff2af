#include "cli/dram_turns.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/statistics.h"

namespace spillway::cli {

using machine::kReadPatterns;

DramTurns::DramTurns(machine::DramReader reader, const platform::Clock& clock, uint64_t token_bytes,
                     size_t tokens)
    : reader_(std::move(reader)), clock_(clock), token_bytes_(static_cast<double>(token_bytes)) {
  const size_t read = kReadPatterns.size() * reader_.bytes();
  counted_ = std::clamp<size_t>(read / std::max<uint64_t>(token_bytes, 1), 1, tokens);
  turns_ = (tokens + counted_ - 1) / counted_;
}

void DramTurns::begin_round() {
  at_ = 0;
  round_begin_ = done_.size();
}

void DramTurns::take_token() {
  const double now = clock_.seconds();
  const size_t in_turn = at_++ % (counted_ + 1);
  if (in_turn == 0) {
    if (at_ > 1) {
      turn_.tokens_per_second = static_cast<double>(counted_) / std::max(now - started_, 1e-9);
      done_.push_back(turn_);
    }
    if (at_ <= passes()) read();
  }
  if (in_turn == 1) started_ = now;
}

void DramTurns::read() {
  for (size_t i = 0; i < kReadPatterns.size(); ++i) turn_.read[i] = reader_.read(kReadPatterns[i]);
}

std::vector<double> DramTurns::reads(size_t pattern) const {
  std::vector<double> rates;
  for (const Turn& turn : done_) rates.push_back(turn.read[pattern]);
  return rates;
}

size_t DramTurns::faster_pattern() const {
  size_t best = 0;
  for (size_t i = 1; i < kReadPatterns.size(); ++i)
    if (median(reads(i)) > median(reads(best))) best = i;
  return best;
}

double DramTurns::bytes_per_second() const {
  return median(reads(faster_pattern()));
}

double DramTurns::speed_since(size_t turn) const {
  std::vector<double> speeds;
  for (; turn < done_.size(); ++turn) speeds.push_back(done_[turn].tokens_per_second);
  return median(std::move(speeds));
}

double DramTurns::tokens_per_second() const {
  return speed_since(0);
}

double DramTurns::round_tokens_per_second() const {
  return speed_since(round_begin_);
}

std::vector<double> DramTurns::shares() const {
  const size_t pattern = faster_pattern();
  std::vector<double> shares;
  for (const Turn& turn : done_)
    shares.push_back(turn.tokens_per_second * token_bytes_ / turn.read[pattern]);
  return shares;
}

double DramTurns::share() const {
  return median(shares());
}

nlohmann::ordered_json DramTurns::json() const {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  const std::vector<double> shares = this->shares();
  for (size_t i = 0; i < done_.size(); ++i) {
    json.push_back({{"tokens_per_second", done_[i].tokens_per_second},
                    {"read_bytes_per_second", done_[i].read},
                    {"share_of_bound", shares[i]}});
  }
  return json;
}

std::string DramTurns::text() const {
  const std::vector<double> shares = this->shares();
  const auto [least, most] = std::minmax_element(shares.begin(), shares.end());
  return fmt::format("memory reads {:.1f} GB/s; share in {} turns {:.2f} ({:.2f} to {:.2f})",
                     bytes_per_second() / 1e9, shares.size(), share(), *least, *most);
}

}  // namespace spillway::cli

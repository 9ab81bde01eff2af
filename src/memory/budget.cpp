#include "spillway/memory/budget.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <limits>
#include <map>
#include <mutex>
#include <utility>

#include "base/check.h"
#include "base/units.h"

namespace spillway::memory {
namespace {

constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();

size_t index_of(Tag tag) {
  return static_cast<size_t>(tag);
}

// Reservations of one name are one holder: a cache that reserves page by page is one line.
std::vector<Holder> merge(const std::map<uint64_t, Holder>& reservations) {
  std::map<std::pair<Tag, std::string_view>, uint64_t> sums;
  for (const auto& [id, holder] : reservations) sums[{holder.tag, holder.name}] += holder.bytes;
  std::vector<Holder> holders;
  holders.reserve(sums.size());
  for (const auto& [key, bytes] : sums) {
    holders.push_back({.tag = key.first, .name = std::string(key.second), .bytes = bytes});
  }
  std::stable_sort(holders.begin(), holders.end(), [](const Holder& a, const Holder& b) {
    return a.tag != b.tag ? a.tag < b.tag : a.bytes > b.bytes;
  });
  return holders;
}

}  // namespace

std::string_view tier_name(Tier tier) {
  constexpr std::array kNames = {"HBM", "host", "disk"};
  return kNames[static_cast<size_t>(tier)];
}

std::string_view tag_name(Tag tag) {
  switch (tag) {
    case Tag::kWeights:
      return "weights";
    case Tag::kKv:
      return "kv";
    case Tag::kActivations:
      return "activations";
    case Tag::kStaging:
      return "staging";
    case Tag::kVocabulary:
      return "vocabulary";
    case Tag::kOther:
      return "other";
  }
  return "unknown";
}

// The mutex is held by whoever calls a member function.
struct Budget::State {
  State(Tier tier_value, uint64_t limit) : tier(tier_value), limit_bytes(limit) {
    tag_limits.fill(kNoLimit);
  }

  uint64_t free_bytes() const { return limit_bytes - total.bytes; }
  Result<void> charge(uint64_t bytes, Tag tag, std::string_view holder);
  void give_back(uint64_t bytes, Tag tag);
  std::string explain() const;
  bool valid() const;

  const Tier tier;
  const uint64_t limit_bytes;
  mutable std::mutex mutex;
  std::map<uint64_t, Holder> reservations;  // by id
  uint64_t next_id = 1;
  Usage total;
  std::array<Usage, kTags.size()> by_tag = {};
  std::array<uint64_t, kTags.size()> tag_limits = {};
};

Result<void> Budget::State::charge(uint64_t bytes, Tag tag, std::string_view holder) {
  Usage& of_tag = by_tag[index_of(tag)];
  const uint64_t tag_free = tag_limits[index_of(tag)] - of_tag.bytes;
  const uint64_t free = std::min(free_bytes(), tag_free);
  if (bytes > free) {
    const std::string cap =
        tag_free < free_bytes()
            ? fmt::format("the cap of {} on {} within the {} budget",
                          format_size(tag_limits[index_of(tag)]), tag_name(tag), tier_name(tier))
            : fmt::format("the {} budget of {}", tier_name(tier), format_size(limit_bytes));
    return fail(ErrorCode::kBudget,
                "{} is too small by {}: '{}' ({}) asks for {} more and {} are free; raise it or "
                "ask for less\n{}",
                cap, format_size(bytes - free), holder, tag_name(tag), format_size(bytes),
                format_size(free), explain());
  }
  for (Usage* usage : {&total, &of_tag}) {
    usage->bytes += bytes;
    usage->peak_bytes = std::max(usage->peak_bytes, usage->bytes);
  }
  return {};
}

void Budget::State::give_back(uint64_t bytes, Tag tag) {
  total.bytes -= bytes;
  by_tag[index_of(tag)].bytes -= bytes;
}

std::string Budget::State::explain() const {
  std::vector<Tag> tags(kTags.begin(), kTags.end());
  std::stable_sort(tags.begin(), tags.end(), [this](Tag a, Tag b) {
    return by_tag[index_of(a)].bytes > by_tag[index_of(b)].bytes;
  });
  const std::vector<Holder> holders = merge(reservations);
  std::string text = fmt::format("{} budget {}: {} held, {} at the most so far", tier_name(tier),
                                 format_size(limit_bytes), format_size(total.bytes),
                                 format_size(total.peak_bytes));
  for (Tag tag : tags) {
    const uint64_t limit = tag_limits[index_of(tag)];
    const uint64_t bytes = by_tag[index_of(tag)].bytes;
    if (bytes == 0 && limit == kNoLimit) continue;
    fmt::format_to(std::back_inserter(text), "\n  {:<12} {:>12}", tag_name(tag),
                   format_size(bytes));
    if (limit != kNoLimit) {
      fmt::format_to(std::back_inserter(text), " of at most {}", format_size(limit));
    }
    for (const Holder& holder : holders) {
      if (holder.tag != tag || holder.bytes == 0) continue;
      fmt::format_to(std::back_inserter(text), "\n    {:>23}  {}", format_size(holder.bytes),
                     holder.name);
    }
  }
  fmt::format_to(std::back_inserter(text), "\n  {:<12} {:>12}", "free", format_size(free_bytes()));
  return text;
}

bool Budget::State::valid() const {
  std::array<uint64_t, kTags.size()> sums = {};
  for (const auto& [id, holder] : reservations) sums[index_of(holder.tag)] += holder.bytes;
  uint64_t sum = 0;
  for (size_t i = 0; i < sums.size(); ++i) {
    if (sums[i] != by_tag[i].bytes || sums[i] > tag_limits[i]) return false;
    if (by_tag[i].peak_bytes < by_tag[i].bytes) return false;
    sum += sums[i];
  }
  return sum == total.bytes && sum <= limit_bytes && total.peak_bytes >= sum;
}

Reservation::Reservation(Reservation&& other) noexcept
    : budget_(std::exchange(other.budget_, nullptr)),
      id_(other.id_),
      bytes_(std::exchange(other.bytes_, 0)),
      tag_(other.tag_) {}

Reservation& Reservation::operator=(Reservation&& other) noexcept {
  if (this == &other) return *this;
  give_back();
  budget_ = std::exchange(other.budget_, nullptr);
  id_ = other.id_;
  bytes_ = std::exchange(other.bytes_, 0);
  tag_ = other.tag_;
  return *this;
}

Reservation::~Reservation() {
  give_back();
}

void Reservation::give_back() {
  if (budget_ == nullptr) return;
  Budget::State& state = *budget_->state_;
  const std::lock_guard lock(state.mutex);
  state.give_back(bytes_, tag_);
  state.reservations.erase(id_);
  SPILLWAY_DCHECK(state.valid());
  budget_ = nullptr;
  bytes_ = 0;
}

Result<void> Reservation::resize(uint64_t bytes) {
  if (bytes == bytes_) return {};
  SPILLWAY_CHECK(budget_ != nullptr);
  Budget::State& state = *budget_->state_;
  const std::lock_guard lock(state.mutex);
  Holder& holder = state.reservations.at(id_);
  if (bytes > bytes_) {
    SPILLWAY_TRY(state.charge(bytes - bytes_, tag_, holder.name));
  } else {
    state.give_back(bytes_ - bytes, tag_);
  }
  holder.bytes = bytes;
  bytes_ = bytes;
  SPILLWAY_DCHECK(state.valid());
  return {};
}

Result<void> Reservation::hand_over(Tag tag, std::string_view name) {
  SPILLWAY_CHECK(budget_ != nullptr);
  Budget::State& state = *budget_->state_;
  const std::lock_guard lock(state.mutex);
  state.give_back(bytes_, tag_);
  if (auto charged = state.charge(bytes_, tag, name); !charged) {
    SPILLWAY_CHECK(state.charge(bytes_, tag_, name).has_value());
    return charged;
  }
  Holder& holder = state.reservations.at(id_);
  holder.tag = tag_ = tag;
  holder.name = name;
  SPILLWAY_DCHECK(state.valid());
  return {};
}

Budget::Budget(Tier tier, uint64_t limit_bytes)
    : tier_(tier), limit_bytes_(limit_bytes), state_(std::make_unique<State>(tier, limit_bytes)) {}

Budget::~Budget() {
  SPILLWAY_CHECK(state_->reservations.empty());
}

void Budget::limit_tag(Tag tag, uint64_t limit_bytes) {
  const std::lock_guard lock(state_->mutex);
  SPILLWAY_CHECK(state_->by_tag[index_of(tag)].bytes == 0);
  state_->tag_limits[index_of(tag)] = limit_bytes;
}

Result<Reservation> Budget::reserve(uint64_t bytes, Tag tag, std::string_view holder) {
  const std::lock_guard lock(state_->mutex);
  SPILLWAY_TRY(state_->charge(bytes, tag, holder));
  const uint64_t id = state_->next_id++;
  state_->reservations.emplace(id, Holder{.tag = tag, .name = std::string(holder), .bytes = bytes});
  SPILLWAY_DCHECK(state_->valid());
  return Reservation(this, id, bytes, tag);
}

uint64_t Budget::free_bytes() const {
  const std::lock_guard lock(state_->mutex);
  return state_->free_bytes();
}

Usage Budget::usage() const {
  const std::lock_guard lock(state_->mutex);
  return state_->total;
}

Usage Budget::usage(Tag tag) const {
  const std::lock_guard lock(state_->mutex);
  return state_->by_tag[index_of(tag)];
}

std::vector<Holder> Budget::holders() const {
  const std::lock_guard lock(state_->mutex);
  return merge(state_->reservations);
}

std::string Budget::explain() const {
  const std::lock_guard lock(state_->mutex);
  return state_->explain();
}

}  // namespace spillway::memory

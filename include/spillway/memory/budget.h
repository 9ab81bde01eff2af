// A budget is a promise: a cap on what this process holds in one tier. Everything large is charged
// to it before it exists, as a Reservation with a tag and a holder's name. Thread-safe; a Budget
// outlives its Reservations.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "spillway/types.h"

namespace spillway::memory {

enum class Tier { kHbm, kHost, kDisk };
std::string_view tier_name(Tier tier);  // "HBM", "host", "disk"
enum class Tag { kWeights, kKv, kActivations, kStaging, kVocabulary, kOther };
inline constexpr std::array kTags = {Tag::kWeights, Tag::kKv,         Tag::kActivations,
                                     Tag::kStaging, Tag::kVocabulary, Tag::kOther};
std::string_view tag_name(Tag tag);  // "weights", "kv", …

class Budget;

// A charge against a budget, given back by the destructor. Move-only value; one thread at a time.
class Reservation {
 public:
  Reservation() = default;  // holds nothing
  Reservation(Reservation&& other) noexcept;
  Reservation& operator=(Reservation&& other) noexcept;
  ~Reservation();

  uint64_t bytes() const { return bytes_; }
  Tag tag() const { return tag_; }
  // Takes more or gives some back. On kBudget the charge stays as it was.
  Result<void> resize(uint64_t bytes);
  // The charge becomes another holder's, without a moment in which it is nobody's. On kBudget (the
  // new tag has a cap) it stays as it was.
  Result<void> hand_over(Tag tag, std::string_view holder);

 private:
  friend class Budget;
  Reservation(Budget* budget, uint64_t id, uint64_t bytes, Tag tag)
      : budget_(budget), id_(id), bytes_(bytes), tag_(tag) {}
  void give_back();

  Budget* budget_ = nullptr;
  uint64_t id_ = 0;
  uint64_t bytes_ = 0;
  Tag tag_ = Tag::kOther;
};

struct Usage {
  uint64_t bytes = 0;
  uint64_t peak_bytes = 0;
};

struct Holder {
  Tag tag;
  std::string name;
  uint64_t bytes;
};

class Budget {
 public:
  Budget(Tier tier, uint64_t limit_bytes);
  ~Budget();
  Budget(const Budget&) = delete;
  Budget& operator=(const Budget&) = delete;

  // A second cap for one tag, within the whole (--weights-budget). Before anything is reserved
  // under the tag.
  void limit_tag(Tag tag, uint64_t limit_bytes);

  // kBudget: it would exceed the cap; the message says by how much and lists who holds what.
  Result<Reservation> reserve(uint64_t bytes, Tag tag, std::string_view holder);

  Tier tier() const { return tier_; }
  uint64_t limit_bytes() const { return limit_bytes_; }
  uint64_t free_bytes() const;
  Usage usage() const;  // of all tags together
  Usage usage(Tag tag) const;
  // By tag, then by size, largest first. Reservations of one tag and name are one holder.
  std::vector<Holder> holders() const;
  // Who holds what, a line each, the biggest tag first, and what is free: for people.
  std::string explain() const;

 private:
  friend class Reservation;
  struct State;
  const Tier tier_;
  const uint64_t limit_bytes_;
  std::unique_ptr<State> state_;
};

}  // namespace spillway::memory

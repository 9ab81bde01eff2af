// What lives where, and what has moved: of a pool, by tag and by region. Values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "spillway/memory/budget.h"

namespace spillway::memory {

// Since the pool, or the region, was made.
struct Activity {
  uint64_t extents_to_hbm = 0;  // moved
  uint64_t extents_to_host = 0;
  uint64_t bytes_to_hbm = 0;
  uint64_t bytes_to_host = 0;
  uint64_t evicted_extents = 0;  // of those to host: because another needed the room
  double seconds_to_hbm = 0;     // that moves took, from the start to the last extent
  double seconds_to_host = 0;
  uint64_t stalls = 0;  // pins that found an extent moving, or not yet mapped where it had moved
  double stall_seconds = 0;

  // bytes a second of moves; 0: there were none
  double rate_to_hbm() const;
  double rate_to_host() const;
  Activity& operator+=(const Activity& other);
};

struct TierReport {
  uint64_t limit_bytes = 0;
  uint64_t bytes = 0;
  uint64_t peak_bytes = 0;
};

// Regions, stream allocators and pinned memory of one tag, and handles that are kept.
struct TagReport {
  Tag tag = Tag::kOther;
  uint64_t hbm_bytes = 0;
  uint64_t host_bytes = 0;
  Activity activity;  // of its regions, those that are gone included
};

struct RegionReport {
  std::string name;
  Tag tag = Tag::kOther;
  uint64_t size_bytes = 0;
  uint64_t extent_bytes = 0;
  uint64_t hbm_bytes = 0;
  uint64_t host_bytes = 0;
  Activity activity;
};

struct PoolReport {
  TierReport hbm;
  TierReport host;
  Activity activity;                  // of all regions
  std::vector<TagReport> tags;        // those that hold or held something
  std::vector<RegionReport> regions;  // those that there are, in the order in which they were made
};

// One object: {"tiers": {"hbm": …}, "activity": …, "tags": [...], "regions": [...]}; sizes in
// bytes, times in seconds, rates in bytes a second.
std::string to_json(const PoolReport& report);

}  // namespace spillway::memory

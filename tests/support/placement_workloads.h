// Workloads, machines and checks for tests of placement. Values; one thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "base/units.h"
#include "placement/plan.h"

namespace spillway::test {

inline constexpr uint64_t kDevice = 7;

// One weight behind the other, `gap_bytes` apart, from `file_offset` on.
inline std::vector<model::Weight> layered_weights(size_t layers, size_t rows, size_t columns,
                                                  uint64_t file_offset = 4096,
                                                  uint64_t gap_bytes = 0) {
  std::vector<model::Weight> weights;
  for (size_t layer = 0; layer < layers; ++layer) {
    for (const char* kind : {"attn_q.weight", "ffn_down.weight"}) {
      weights.push_back({.name = fmt::format("blk.{}.{}", layer, kind),
                         .dtype = DType::kF32,
                         .rows = rows,
                         .columns = columns,
                         .file_offset = file_offset});
      file_offset += weights.back().size_bytes() + gap_bytes;
    }
  }
  return weights;
}

inline uint64_t end_of(const std::vector<model::Weight>& weights) {
  uint64_t end = 0;
  for (const model::Weight& w : weights) end = std::max(end, w.file_offset + w.size_bytes());
  return end;
}

inline machine::Machine machine_with_disk(double disk_rate) {
  machine::Machine machine;
  machine.dram_bytes_per_second = 20e9;
  machine.seconds_per_op = 1e-6;
  machine.kernels = {{"Q8_0", 1, 5e9}, {"F32", 1, 8e9}, {"Q4_1", 1, 4e9}};
  machine.disks[std::to_string(kDevice)] = {{{256 * kKiB, 1, disk_rate / 4},
                                             {256 * kKiB, 8, disk_rate / 2},
                                             {4 * kMiB, 1, disk_rate / 2},
                                             {4 * kMiB, 8, disk_rate}}};
  return machine;
}

inline uint64_t sum_of(const std::vector<placement::Charge>& charges) {
  uint64_t sum = 0;
  for (const placement::Charge& charge : charges) sum += charge.bytes;
  return sum;
}

inline uint64_t sum_of(const std::vector<placement::Charge>& charges, memory::Tag tag) {
  uint64_t sum = 0;
  for (const placement::Charge& charge : charges) sum += charge.tag == tag ? charge.bytes : 0;
  return sum;
}

// The pages of the units that stay, each counted once, the slow way.
inline uint64_t pages_that_stay(const std::vector<placement::Unit>& units, size_t page_bytes) {
  std::set<uint64_t> pages;
  for (const placement::Unit& unit : units) {
    if (unit.cycle_index) continue;
    for (uint64_t at = unit.file_offset / page_bytes;
         at * page_bytes < unit.file_offset + unit.size_bytes; ++at)
      pages.insert(at);
  }
  return pages.size() * page_bytes;
}

// What is wrong with a cut, as text; empty if nothing is: every row of every weight exactly once
// and in order, slices within the block, units that cover their slices and follow each other.
inline std::string fault_of_cut(const std::vector<model::Weight>& weights, size_t block_bytes,
                                const std::vector<placement::Slice>& slices,
                                const std::vector<placement::Unit>& units) {
  size_t weight = 0;
  size_t row = 0;
  size_t unit = 0;
  std::vector<uint64_t> low(units.size(), UINT64_MAX);
  std::vector<uint64_t> high(units.size(), 0);
  for (size_t i = 0; i < slices.size(); ++i) {
    const placement::Slice& s = slices[i];
    if (weight >= weights.size()) return fmt::format("slice {} is past the last weight", i);
    const model::Weight& w = weights[weight];
    const size_t bytes = row_bytes(w.dtype, w.columns);
    if (s.weight != weight || s.first_row != row || s.rows == 0)
      return fmt::format("slice {} is row {} of weight {}, not {} of {}", i, s.first_row, s.weight,
                         row, weight);
    if (s.size_bytes != s.rows * bytes || s.file_offset != w.file_offset + row * bytes)
      return fmt::format("slice {} lies elsewhere in the file", i);
    if (s.size_bytes > block_bytes && s.rows > 1)
      return fmt::format("slice {} of {} bytes exceeds the block", i, s.size_bytes);
    if (s.unit != unit && s.unit != unit + 1) return fmt::format("slice {}'s unit jumps", i);
    unit = s.unit;
    if (unit >= units.size()) return fmt::format("slice {} has no unit", i);
    low[unit] = std::min(low[unit], s.file_offset);
    high[unit] = std::max(high[unit], s.file_offset + s.size_bytes);
    row += s.rows;
    if (row > w.rows) return fmt::format("slice {} has rows past the end", i);
    if (row == w.rows) {
      ++weight;
      row = 0;
    }
  }
  if (weight != weights.size() || unit + 1 != units.size())
    return "something is missing at the end";
  for (size_t i = 0; i < units.size(); ++i) {
    if (units[i].file_offset != low[i] || units[i].size_bytes != high[i] - low[i])
      return fmt::format("unit {} does not lie where its slices do", i);
    const bool one_long_row = units[i].size_bytes > block_bytes &&
                              std::count_if(slices.begin(), slices.end(),
                                            [&](const auto& s) { return s.unit == i; }) == 1;
    if (units[i].size_bytes > block_bytes && !one_long_row)
      return fmt::format("unit {} exceeds the block", i);
  }
  return "";
}

// What is wrong with a ring's cycle: it must be the units that stream, in order of execution.
inline std::string fault_of_cycle(const std::vector<placement::Unit>& units,
                                  const std::vector<memory::StreamRange>& cycle) {
  size_t next = 0;
  for (size_t i = 0; i < units.size(); ++i) {
    if (!units[i].cycle_index) continue;
    if (*units[i].cycle_index != next || next >= cycle.size())
      return fmt::format("unit {} is entry {} of the cycle, not {}", i, *units[i].cycle_index,
                         next);
    if (cycle[next].offset != units[i].file_offset || cycle[next].size != units[i].size_bytes)
      return fmt::format("entry {} is not unit {}", next, i);
    ++next;
  }
  return next == cycle.size() ? "" : "the cycle has entries of no unit";
}

}  // namespace spillway::test

// Cutting weights into units, and choosing which of them stay.
#include <gtest/gtest.h>

#include <algorithm>

#include "placement/units.h"
#include "support/placement_workloads.h"

namespace spillway::placement {
namespace {

using test::fault_of_cut;
using test::fault_of_cycle;
using test::layered_weights;

TEST(CutUnits, CutsAWeightIntoAboutEqualSlices) {
  const auto weights = layered_weights(1, 1000, 256);  // 1000 KiB each
  const Cut cut = cut_units(weights, 256 * kKiB);
  EXPECT_EQ(fault_of_cut(weights, 256 * kKiB, cut.slices, cut.units), "");
  ASSERT_EQ(cut.slices.size(), 8u);
  for (const Slice& slice : cut.slices) EXPECT_GE(slice.rows, 232u);
}

TEST(CutUnits, ARowThatIsLongerThanABlockIsASliceOfItsOwn) {
  const auto weights = layered_weights(1, 3, 4096);
  const Cut cut = cut_units(weights, 4096);
  EXPECT_EQ(fault_of_cut(weights, 4096, cut.slices, cut.units), "");
  EXPECT_EQ(cut.slices.size(), 6u);
  EXPECT_EQ(cut.units.size(), 6u);
}

TEST(CutUnits, NeighboursInTheFileShareAUnit) {
  const auto weights = layered_weights(2, 16, 256);  // 16 KiB each
  const Cut cut = cut_units(weights, 64 * kKiB);
  EXPECT_EQ(fault_of_cut(weights, 64 * kKiB, cut.slices, cut.units), "");
  ASSERT_EQ(cut.units.size(), 1u);
  EXPECT_EQ(cut.units[0].size_bytes, 64 * kKiB);
}

TEST(CutUnits, OrderInTheFileNeedNotBeThatOfExecution) {
  auto weights = layered_weights(1, 16, 256);
  std::swap(weights[0].file_offset, weights[1].file_offset);
  const Cut cut = cut_units(weights, 64 * kKiB);
  EXPECT_EQ(fault_of_cut(weights, 64 * kKiB, cut.slices, cut.units), "");
  EXPECT_EQ(cut.units.size(), 1u);
}

TEST(CutUnits, AGapOfMoreThanASixteenthParts) {
  const size_t each = 16 * kKiB;
  const auto near = layered_weights(1, 16, 256, 0, 2 * each / 16);
  EXPECT_EQ(cut_units(near, 64 * kKiB).units.size(), 1u);
  const auto far = layered_weights(1, 16, 256, 0, 2 * each / 16 + 1);
  EXPECT_EQ(cut_units(far, 64 * kKiB).units.size(), 2u);
}

TEST(CutUnits, OneWeightUsedTwiceIsTwoUnits) {
  auto weights = layered_weights(1, 64, 256);
  weights[1].file_offset = weights[0].file_offset;
  const Cut cut = cut_units(weights, 64 * kKiB);
  EXPECT_EQ(cut.units.size(), 2u);
  EXPECT_EQ(resident_page_bytes(cut.units, 4096), 64 * kKiB) << "its pages count once";
}

std::vector<Unit> equal_units(size_t count, size_t bytes, uint64_t offset = 0) {
  std::vector<Unit> units;
  for (size_t i = 0; i < count; ++i)
    units.push_back({.file_offset = offset + i * bytes, .size_bytes = bytes, .cycle_index = {}});
  return units;
}

TEST(ResidentPages, CountEachPageOnce) {
  auto units = equal_units(3, 1000, 3500);
  EXPECT_EQ(resident_page_bytes(units, 4096), 2u * 4096);
  units[0].cycle_index = 0;
  EXPECT_EQ(resident_page_bytes(units, 4096), 4096u);
  units[1].cycle_index = units[2].cycle_index = 1;
  EXPECT_EQ(resident_page_bytes(units, 4096), 0u);
}

TEST(ChooseResident, EverythingStaysWhereItFits) {
  auto units = equal_units(10, 8192);
  EXPECT_TRUE(choose_resident(units, 10 * 8192, 4096).empty());
  EXPECT_EQ(resident_page_bytes(units, 4096), 10u * 8192);
}

TEST(ChooseResident, EverythingStreamsWhereNothingFits) {
  auto units = equal_units(10, 8192);
  for (const uint64_t capacity : {0U, 4096U, 8191U}) {
    const auto cycle = choose_resident(units, capacity, 4096);
    EXPECT_EQ(cycle.size(), 10u);
    EXPECT_EQ(fault_of_cycle(units, cycle), "");
  }
}

TEST(ChooseResident, TakesBackWhatItSaidBefore) {
  auto units = equal_units(10, 8192);
  EXPECT_EQ(choose_resident(units, 0, 4096).size(), 10u);
  EXPECT_TRUE(choose_resident(units, 10 * 8192, 4096).empty());
  for (const Unit& unit : units) EXPECT_FALSE(unit.cycle_index.has_value());
}

// Of equal units whose share s streams, two that stream are at most ceil(1/s) apart, two that stay
// at most ceil(1/(1-s)): the disk has about as much time for each.
TEST(ChooseResident, StreamedUnitsAreSpreadEvenly) {
  constexpr size_t kUnits = 400;
  for (const size_t stay : {40u, 100u, 200u, 300u, 360u}) {
    auto units = equal_units(kUnits, 8192);
    const auto cycle = choose_resident(units, stay * 8192, 4096);
    EXPECT_EQ(fault_of_cycle(units, cycle), "");
    ASSERT_EQ(cycle.size(), kUnits - stay);
    size_t longest[2] = {};
    size_t run = 0;
    for (size_t i = 0; i < kUnits; ++i) {
      const bool streams = units[i].cycle_index.has_value();
      run = i > 0 && streams == units[i - 1].cycle_index.has_value() ? run + 1 : 1;
      longest[streams] = std::max(longest[streams], run);
    }
    const size_t streamed = kUnits - stay;
    EXPECT_LE(longest[0], (stay + streamed - 1) / streamed + 1) << stay << " stay";
    EXPECT_LE(longest[1], (streamed + stay - 1) / stay + 1) << stay << " stay";
  }
}

// The most that streams in any window of the pass exceeds its fair share by one unit or so.
TEST(ChooseResident, NoWindowOwesMuchMoreThanItsShare) {
  constexpr size_t kUnits = 256;
  constexpr size_t kWindow = 32;
  for (size_t stay = 16; stay < kUnits; stay += 16) {
    auto units = equal_units(kUnits, 65536);
    choose_resident(units, stay * 65536, 4096);
    const double share = 1.0 - static_cast<double>(stay) / kUnits;
    for (size_t first = 0; first + kWindow <= kUnits; ++first) {
      const auto streamed =
          std::count_if(units.begin() + static_cast<ptrdiff_t>(first),
                        units.begin() + static_cast<ptrdiff_t>(first + kWindow),
                        [](const Unit& unit) { return unit.cycle_index.has_value(); });
      EXPECT_NEAR(static_cast<double>(streamed), share * kWindow, 2.0)
          << stay << " stay, window at " << first;
    }
  }
}

}  // namespace
}  // namespace spillway::placement

// The codebooks of the IQ formats: each entry is eight (IQ1, IQ2) or four (IQ3) digits that stand
// for the magnitudes of as many values. Digit i of eight lies in bits 2i and 2i + 1, of four in the
// three bits from 4i on. Constants.
#pragma once

#include <array>
#include <cstdint>

namespace spillway::ops::cpu::scalar {

extern const std::array<uint16_t, 2048> kIq1SGrid;   // of IQ1_M, too; digits stand for -1, 0, 1
extern const std::array<uint16_t, 256> kIq2XxsGrid;  // of all IQ2: for 8, 25, 43
extern const std::array<uint16_t, 512> kIq2XsGrid;
extern const std::array<uint16_t, 1024> kIq2SGrid;
extern const std::array<uint16_t, 256> kIq3XxsGrid;  // for 4, 12, 20, … 52, 62
extern const std::array<uint16_t, 512> kIq3SGrid;    // for 1, 3, … 15

}  // namespace spillway::ops::cpu::scalar

// A counter-based random number generator: Philox4x32-10.
//
// The number for (seed, a, b) depends on nothing else, so the same seed gives the same speech whatever the chunking,
// the thread count, or what other sessions do. Constants and rounds: Salmon, Moraes, Dror, Shaw, "Parallel random
// numbers: as easy as 1, 2, 3" (2011).
#pragma once

#include <array>
#include <cstdint>

namespace omni {

// The block of counter (c0, c1, c2, c3) under the key `seed`.
std::array<uint32_t, 4> philox(uint64_t seed, std::array<uint32_t, 4> counter);

// A number in [0, 1) with 53 random bits for draw `b` of step `a`.
double philox_uniform(uint64_t seed, uint64_t a, uint64_t b);

}  // namespace omni

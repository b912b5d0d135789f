// Values as bfloat16, rounded to the nearest, ties to even.
#pragma once

#include <cstdint>
#include <cstring>

namespace omni {

// Rounding would turn some NaN into infinity; either is reported where it comes out, so it may.
static inline __attribute__((always_inline)) uint16_t bf16_of(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    return (uint16_t) ((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

// Fast where the CPU has products of bfloat16, whose instructions make zeros of what is below 1e-38.
void bf16_from_f32(const float * x, uint16_t * y, int64_t n);

// x: float16.
void bf16_from_f16(const uint16_t * x, uint16_t * y, int64_t n);

// x: blocks of Q8_0; n a multiple of 32.
void bf16_from_q8_0(const char * x, uint16_t * y, int64_t n);

}  // namespace omni

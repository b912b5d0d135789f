// Values as bfloat16, rounded to the nearest, ties to even; and values of 16 bits as float.
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

// A float16 as float; subnormal ones by a multiplication, which is exact.
static inline float float_of_f16(uint16_t half) {
    const uint32_t sign = (uint32_t) (half & 0x8000u) << 16;
    const uint32_t rest = (uint32_t) (half & 0x7fffu) << 13;
    uint32_t       bits = rest + (rest >= 0x7c00u << 13 ? 0x70000000u : 0u);
    float          value;
    std::memcpy(&value, &bits, sizeof(value));
    value *= 5.192296858534828e33f;  // 2^112: the exponents' difference
    std::memcpy(&bits, &value, sizeof(bits));
    bits |= sign;
    std::memcpy(&value, &bits, sizeof(value));
    return value;
}

// Exact.
static inline float float_of_bf16(uint16_t small) {
    const uint32_t bits = (uint32_t) small << 16;
    float          value;
    std::memcpy(&value, &bits, sizeof(value));
    return value;
}

// Fast where the CPU has products of bfloat16, whose instructions make zeros of what is below 1e-38.
void bf16_from_f32(const float * x, uint16_t * y, int64_t n);

// x: float16.
void bf16_from_f16(const uint16_t * x, uint16_t * y, int64_t n);

// x: blocks of Q8_0; n a multiple of 32.
void bf16_from_q8_0(const char * x, uint16_t * y, int64_t n);

}  // namespace omni

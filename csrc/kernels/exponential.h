// e to the power of x, in steps that compilers turn into vector instructions.
#pragma once

#include <cstdint>
#include <cstring>

namespace omni {

// For x of at most 0, to two units in the last place; below -87 what -87 gives, near 1e-38. NaN stays NaN.
static inline __attribute__((always_inline)) float exponential_of_negative(float x) {
    constexpr float k_lowest     = -87.0f;
    constexpr float k_inverse_ln = 1.44269504088896340736f;
    constexpr float k_ln_1       = 0.693359375f;              // ln 2 in two parts, the first short enough that
    constexpr float k_ln_2       = -2.12194440054690583e-4f;  // multiples of it are exact (Cody and Waite, 1980)
    constexpr float k_round      = 12582912.0f;               // adding 1.5 x 2^23 rounds to an integer

    x                   = x < k_lowest ? k_lowest : x;
    const float rounded = x * k_inverse_ln + k_round;
    const float n       = rounded - k_round;
    const float r       = (x - n * k_ln_1) - n * k_ln_2;
    // Taylor's series; |r| is at most ln(2) / 2.
    float p = 1.0f / 5040;
    p       = p * r + 1.0f / 720;
    p       = p * r + 1.0f / 120;
    p       = p * r + 1.0f / 24;
    p       = p * r + 1.0f / 6;
    p       = p * r + 0.5f;
    p       = p * r + 1.0f;
    p       = p * r + 1.0f;
    // n sits in the lowest bits of `rounded`; moved to the exponent's place it is 2^n.
    uint32_t power;
    std::memcpy(&power, &rounded, sizeof(power));
    power = (power << 23) + 0x3f800000u;
    float scale;
    std::memcpy(&scale, &power, sizeof(scale));
    return p * scale;
}

}  // namespace omni

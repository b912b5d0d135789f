// SnakeBeta over rows of channels, in one pass: y = x + sin(x * frequency)^2 * magnitude.
#pragma once

#include <cstdint>

#include "kernels/cpu_features.h"

namespace omni {

struct SnakeJob {
    const float * x;          // [rows][channels]
    const float * frequency;  // [channels]
    const float * magnitude;  // [channels]
    int64_t       rows;
    int64_t       channels;
};

// The sine is a polynomial good to float accuracy, after reduction by multiples of pi; arguments too large for that go
// through std::sin.
void snake_f32(const SnakeJob & job, float * y, Simd simd);

// The same, rounded to bfloat16 (nearest, ties to even).
void snake_bf16(const SnakeJob & job, uint16_t * y, Simd simd);

}  // namespace omni

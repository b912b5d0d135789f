// Two forms of GELU. The exact one, x / 2 * (1 + erf(x / sqrt 2)), ggml computes one value at a time; the other,
// x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))), it looks up in a table of float16. Both here within 2.2e-7 of
// what they should be, or of its size where that is above 1.
#pragma once

#include <cstdint>

#include "kernels/cpu_features.h"

namespace omni {

// x and y [n]; they may be the same.
void gelu_f32(const float * x, float * y, int64_t n, Simd simd);

void gelu_tanh_f32(const float * x, float * y, int64_t n, Simd simd);

// The same, rounded to bfloat16.
void gelu_bf16(const float * x, uint16_t * y, int64_t n, Simd simd);
void gelu_tanh_bf16(const float * x, uint16_t * y, int64_t n, Simd simd);

}  // namespace omni

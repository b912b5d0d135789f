// The exact GELU, x / 2 * (1 + erf(x / sqrt 2)), which ggml computes one value at a time. Within 2.2e-7 of it, or of
// its size where that is above 1.
#pragma once

#include <cstdint>

#include "kernels/cpu_features.h"

namespace omni {

// x and y [n]; they may be the same.
void gelu_f32(const float * x, float * y, int64_t n, Simd simd);

// The same, rounded to bfloat16.
void gelu_bf16(const float * x, uint16_t * y, int64_t n, Simd simd);

}  // namespace omni

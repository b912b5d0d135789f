// Values on their way into the next product, in the type it takes: as they are, or through a form of GELU. One name for
// float and bfloat16, for ops that are written once for both.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/bf16.h"
#include "kernels/cpu_features.h"
#include "kernels/gelu.h"

namespace omni {

inline void values_as(const float * x, float * y, int64_t n) {
    std::copy_n(x, n, y);
}

inline void values_as(const float * x, uint16_t * y, int64_t n) {
    bf16_from_f32(x, y, n);
}

inline void gelu_as(const float * x, float * y, int64_t n) {
    gelu_f32(x, y, n, best_simd());
}

inline void gelu_as(const float * x, uint16_t * y, int64_t n) {
    gelu_bf16(x, y, n, best_simd());
}

inline void gelu_tanh_as(const float * x, float * y, int64_t n) {
    gelu_tanh_f32(x, y, n, best_simd());
}

inline void gelu_tanh_as(const float * x, uint16_t * y, int64_t n) {
    gelu_tanh_bf16(x, y, n, best_simd());
}

}  // namespace omni

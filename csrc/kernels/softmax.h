// Softmax of one row.
#pragma once

#include <cstdint>

#include "kernels/cpu_features.h"

namespace omni {

// x [n] becomes softmax(scale * x), scale above 0.
void softmax(float * x, int64_t n, float scale, Simd simd);

}  // namespace omni

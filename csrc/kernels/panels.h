// Sixteen rows of a matrix as a panel of packed weights (kernels/conv.h), made where it is needed.
//
// A panel of float32 [in][16] and one of bfloat16 [in / 2][16][2] are the same to this: words of 32 bits, transposed.
#pragma once

#include <cstdint>

#include "kernels/cpu_features.h"

namespace omni {

// rows: 16 of n words -> panel [n][16].
void transpose_panel(const uint32_t * const * rows, int64_t n, uint32_t * panel, Simd simd);

}  // namespace omni

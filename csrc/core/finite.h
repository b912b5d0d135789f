// Are values finite?
#pragma once

#include <cstddef>

#include "ggml.h"

namespace omni {

// Stored weights: `size` bytes, whole blocks of the type; of quantized types, the scales.
bool all_finite(ggml_type type, const char * bytes, size_t size);

bool all_finite(const float * values, size_t n);

}  // namespace omni

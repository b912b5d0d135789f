// Are stored weights finite? Of quantized types, their scales.
#pragma once

#include <cstddef>

#include "ggml.h"

namespace omni {

// `bytes`: `size` bytes, whole blocks of the type.
bool all_finite(ggml_type type, const char * bytes, size_t size);

}  // namespace omni

// ggml's own quantizers, by the names of their types.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ggml.h"

namespace omni {

struct Block {
    int64_t n_values;
    size_t  nbytes;
};

// Throws Error(input) for a name ("q8_0") that no type has.
ggml_type type_named(const std::string & name);

// As type_named.
Block block_of(const std::string & type);

// Rows of float32 [n, width] as bytes of a type. `importance`: a weight per column, or null. Throws Error(input) for a
// type that can't hold weights, for rows that are no whole blocks, and for a type that needs an importance matrix
// without one.
std::string quantize_rows(const float * rows, int64_t n, int64_t width, const std::string & type,
                          const std::vector<float> * importance);

// Whole blocks as float32. Throws Error(input) for bytes that are none.
std::vector<float> dequantize(const std::string & bytes, const std::string & type);

}  // namespace omni

// Products of Q8_0 weights with activations quantized alike, for few columns: what generating speech mostly is.
//
//   y[column][row] = sum over blocks of d_weight * d_x * (sum over 32 of weight * x), in integers inside a block
//
// ggml's own kernel multiplies one column at a time with 256-bit arithmetic, which on a fast core is slower than memory
// delivers the weights, and reads them once a column. This one takes up to four columns a read.
//
// Every output is one chain over the blocks, whatever the other columns and the split into threads: a speech in a batch
// is the same as alone.
#pragma once

#include <cstddef>
#include <cstdint>

namespace omni {

// Whether this CPU has the instructions (AVX-512 with VNNI).
bool has_q8_product();

constexpr int64_t k_q8_block       = 32;
constexpr int64_t k_q8_block_bytes = 34;  // float16 scale, 32 x int8

// Bytes of one quantized column of n values, n a multiple of 32: values, offsets, scales.
int64_t q8_column_bytes(int64_t n);

// x [n] -> one quantized column. NaN or infinity makes the scale of its block NaN or infinite.
void q8_quantize(const float * x, int64_t n, char * column);

struct Q8Job {
    const char * weight;  // rows of Q8_0 blocks
    int64_t      in;
    int64_t      row_begin, row_end;
};

constexpr int k_q8_columns = 4;

// y[c][row] for rows [row_begin, row_end) and `count` columns, 1 to k_q8_columns.
void q8_multiply(const Q8Job & job, const char * const * columns, float * const * y, int count);

}  // namespace omni

// Products of weights in blocks of 4 to 8 bits with activations quantized to 8, for few columns: what generating speech
// mostly is, and for many columns, what reading a prompt is.
//
//   y[column][row] = sum over blocks of d_x * (d_weight * (sum of weight * x) - m_weight * (sum of x)), in integers
//                    inside a block of weights of one scale
//
// ggml's own kernels multiply one column at a time with 256-bit arithmetic, which on a fast core is slower than memory
// delivers the weights, and read them once a column; those of its kernels that don't want the weights in another order
// than the file has. These read the weights once for all columns, in the file's order.
//
// Every output is one chain over the blocks, whatever the other columns and the split into threads: a speech in a batch
// is the same as alone.
#pragma once

#include <cstddef>
#include <cstdint>

namespace omni {

constexpr int64_t k_q8_block       = 32;
constexpr int64_t k_q8_block_bytes = 34;  // float16 scale, 32 x int8

// ggml's formats of weights that there are kernels for.
enum class BlockFormat { q8_0, q4_0, iq4_nl, q4_k, q5_k, q6_k, iq4_xs };

// Whether this CPU has the instructions (AVX-512 with VNNI).
bool has_block_product();

// Bytes of one quantized column of n values, n a multiple of 32: values, offsets, scales.
int64_t block_column_bytes(int64_t n);

// x [n] -> one quantized column. NaN or infinity makes the scale of its 32 values NaN or infinite.
void quantize_column(const float * x, int64_t n, char * column);

struct BlockProduct {
    BlockFormat  format;
    const char * weight;  // rows of blocks
    int64_t      in;
    int64_t      row_begin, row_end;
};

// Rows that are multiplied at once: a share of that many is computed best.
constexpr int64_t k_block_rows = 16;

// y[c][row] for rows [row_begin, row_end) and `count` columns.
void multiply(const BlockProduct & job, const char * const * columns, float * const * y, int count);

}  // namespace omni

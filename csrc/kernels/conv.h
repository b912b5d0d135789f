// A convolution as one matrix product without gathering its taps.
//
//   y[t][o] = bias[o] + residual[t][o] + sum over tap, c of w[o][tap][c] * x[t * x_row + tap * x_tap + c]
//
// Channels lie side by side. What a row of x holds serves up to `taps` outputs, so nothing is copied: the kernel walks
// the rows where they lie. With one tap it is a product of matrices; where rows begin further apart than a row is long,
// or nearer, a convolution with a stride.
//
// Every output is one chain of fused multiply-adds in the order of (tap, c), whatever the split into tiles and threads
// (in f32; with bf16 in pairs, or in blocks of 32): the same frames give the same samples for every chunk size.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu_features.h"

namespace omni {

constexpr int64_t k_conv_panel = 16;  // outputs packed side by side

// What the weights of an f32 job are stored in. All of it widens to float exactly: products and sums are the same.
enum class PanelType { f32, f16, bf16 };

struct ConvJob {
    const void *  x;         // float or bfloat16
    const void *  weight;    // packed, see below
    const float * bias;      // [out] or, when the outputs are rate positions, [out / rate], repeated; or null
    const float * residual;  // as y, or null
    float *       y;         // [rows][out], rows y_row apart
    int64_t       rows;
    int64_t       in;
    int64_t       out;
    int64_t       taps;
    int64_t       bias_period;  // bias[o % bias_period]
    int64_t       x_row;        // elements from the inputs of a row to those of the next
    int64_t       x_tap;        // and of a tap
    int64_t       y_row;
    PanelType     panels = PanelType::f32;  // of an f32 job
};

// Weights of f32 jobs: [panel][tap][in][16 outputs]; missing outputs of the last panel are zero.
// Weights of bf16 jobs: [panel][tap][in / 32][16 pairs][16 outputs][2], as AMX tiles and AVX-512 both want them.
int64_t packed_conv_size(int64_t in, int64_t out, int64_t taps);

// Where element i of the packed weights comes from, as (output, tap, channel).
struct ConvIndex {
    int64_t output, tap, channel;
};
ConvIndex packed_f32_index(int64_t i, int64_t in, int64_t taps);
ConvIndex packed_bf16_index(int64_t i, int64_t in, int64_t taps);

// bf16 jobs need channels in multiples of 32, and k_bf16_tail further rows of x that may hold anything finite.
constexpr int64_t k_bf16_block = 32;
constexpr int64_t k_bf16_tail  = 15;

// The share of part `part` of `parts`; parts run side by side.
void conv_f32(const ConvJob & job, Simd simd, int part, int parts);
void conv_bf16(const ConvJob & job, Bf16 kind, int part, int parts);

// --- for the kernels ------------------------------------------------------------------------------------------------

// How far ahead of a panel's weights the next are fetched, in bytes. They are read once for few rows, two panels side
// by side, and the hardware follows no such streams.
constexpr int64_t k_fetched_ahead = 4096;

// A block of the output: rows [row_begin, row_end), panels [panel_begin, panel_end).
struct ConvBlock {
    int64_t row_begin, row_end, panel_begin, panel_end;
};

void conv_f32_avx512(const ConvJob & job, const ConvBlock & block);
void conv_f32_avx2(const ConvJob & job, const ConvBlock & block);
void conv_f32_generic(const ConvJob & job, const ConvBlock & block);
void conv_bf16_avx512(const ConvJob & job, const ConvBlock & block);
void conv_bf16_amx(const ConvJob & job, const ConvBlock & block);

}  // namespace omni

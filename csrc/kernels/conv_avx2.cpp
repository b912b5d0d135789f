// The f32 convolution with AVX2: tiles of 6 rows x 16 outputs in 12 accumulators.
#include "kernels/conv.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>

#define OMNI_AVX2 __attribute__((target("avx2,fma")))

namespace omni {

namespace {

constexpr int64_t k_tile_rows = 6;
constexpr int     k_halves    = 2;  // vectors a panel

OMNI_AVX2 void store(const ConvJob & job, int64_t row, int64_t first, const float * sum) {
    const int64_t width = std::min(k_conv_panel, job.out - first);
    for (int64_t lane = 0; lane < width; ++lane) {
        const int64_t at     = row * job.y_row + first + lane;
        const float   bias   = job.bias != nullptr ? job.bias[(first + lane) % job.bias_period] : 0.0f;
        const float   biased = sum[lane] + bias;
        job.y[at]            = job.residual != nullptr ? biased + job.residual[at] : biased;
    }
}

template <int ROWS> OMNI_AVX2 void tile(const ConvJob & job, int64_t panel, int64_t row) {
    const auto * x      = static_cast<const float *>(job.x);
    const auto * weight = static_cast<const float *>(job.weight) + panel * job.taps * job.in * k_conv_panel;
    __m256       sum[ROWS][k_halves];
    for (int r = 0; r < ROWS; ++r) {
        sum[r][0] = _mm256_setzero_ps();
        sum[r][1] = _mm256_setzero_ps();
    }
    for (int64_t tap = 0; tap < job.taps; ++tap) {
        const float * from = x + row * job.x_row + tap * job.x_tap;
        const float * with = weight + tap * job.in * k_conv_panel;
        for (int64_t c = 0; c < job.in; ++c) {
            const __m256 low  = _mm256_loadu_ps(with + c * k_conv_panel);
            const __m256 high = _mm256_loadu_ps(with + c * k_conv_panel + 8);
            for (int r = 0; r < ROWS; ++r) {
                const __m256 value = _mm256_broadcast_ss(from + r * job.x_row + c);
                sum[r][0]          = _mm256_fmadd_ps(value, low, sum[r][0]);
                sum[r][1]          = _mm256_fmadd_ps(value, high, sum[r][1]);
            }
        }
    }
    for (int r = 0; r < ROWS; ++r) {
        alignas(32) float out[k_conv_panel];
        _mm256_store_ps(out, sum[r][0]);
        _mm256_store_ps(out + 8, sum[r][1]);
        store(job, row + r, panel * k_conv_panel, out);
    }
}

OMNI_AVX2 void rest(const ConvJob & job, int64_t panel, int64_t row, int64_t count) {
    switch (count) {
        case 5: tile<5>(job, panel, row); break;
        case 4: tile<4>(job, panel, row); break;
        case 3: tile<3>(job, panel, row); break;
        case 2: tile<2>(job, panel, row); break;
        case 1: tile<1>(job, panel, row); break;
        default: break;
    }
}

}  // namespace

OMNI_AVX2 void conv_f32_avx2(const ConvJob & job, const ConvBlock & block) {
    for (int64_t panel = block.panel_begin; panel < block.panel_end; ++panel) {
        int64_t row = block.row_begin;
        for (; row + k_tile_rows <= block.row_end; row += k_tile_rows) {
            tile<k_tile_rows>(job, panel, row);
        }
        rest(job, panel, row, block.row_end - row);
    }
}

}  // namespace omni

#endif

// The f32 convolution with AVX-512: tiles of 12 rows x 32 outputs in 24 accumulators.
#include "kernels/conv.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>

#define OMNI_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,fma")))

namespace omni {

namespace {

constexpr int64_t k_tile_rows = 12;

struct Panel {
    const float * weight;
    __m512        bias;
    __mmask16     mask;   // outputs that exist
    int64_t       first;  // output
};

OMNI_AVX512 Panel panel_of(const ConvJob & job, int64_t index) {
    const int64_t     first              = index * k_conv_panel;
    const int64_t     width              = std::min(k_conv_panel, job.out - first);
    alignas(64) float bias[k_conv_panel] = {};
    for (int64_t lane = 0; lane < width; ++lane) {
        bias[lane] = job.bias[(first + lane) % job.bias_period];
    }
    const auto * weight = static_cast<const float *>(job.weight) + index * job.taps * job.in * k_conv_panel;
    return { weight, _mm512_load_ps(bias), (__mmask16) ((1u << width) - 1), first };
}

OMNI_AVX512 inline void store(const ConvJob & job, const Panel & panel, int64_t row, __m512 sum) {
    float * y = job.y + row * job.out + panel.first;
    sum       = _mm512_add_ps(sum, panel.bias);
    if (job.residual != nullptr) {
        sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(panel.mask, job.residual + row * job.out + panel.first));
    }
    _mm512_mask_storeu_ps(y, panel.mask, sum);
}

// ROWS rows from `row` on, PANELS neighbouring panels.
template <int ROWS, int PANELS> OMNI_AVX512 void tile(const ConvJob & job, const Panel * panels, int64_t row) {
    const auto * x = static_cast<const float *>(job.x);
    __m512       sum[PANELS][ROWS];
    for (int p = 0; p < PANELS; ++p) {
        for (int r = 0; r < ROWS; ++r) {
            sum[p][r] = _mm512_setzero_ps();
        }
    }
    for (int64_t tap = 0; tap < job.taps; ++tap) {
        const float * from  = x + (row + tap * job.dilation) * job.in;
        const int64_t depth = tap * job.in * k_conv_panel;
        for (int64_t c = 0; c < job.in; ++c) {
            __m512 w[PANELS];
            for (int p = 0; p < PANELS; ++p) {
                w[p] = _mm512_loadu_ps(panels[p].weight + depth + c * k_conv_panel);
            }
            for (int r = 0; r < ROWS; ++r) {
                const __m512 value = _mm512_set1_ps(from[r * job.in + c]);
                for (int p = 0; p < PANELS; ++p) {
                    sum[p][r] = _mm512_fmadd_ps(value, w[p], sum[p][r]);
                }
            }
        }
    }
    for (int p = 0; p < PANELS; ++p) {
        for (int r = 0; r < ROWS; ++r) {
            store(job, panels[p], row + r, sum[p][r]);
        }
    }
}

template <int PANELS> OMNI_AVX512 void rest(const ConvJob & job, const Panel * panels, int64_t row, int64_t count) {
    switch (count) {
        case 11: tile<11, PANELS>(job, panels, row); break;
        case 10: tile<10, PANELS>(job, panels, row); break;
        case 9: tile<9, PANELS>(job, panels, row); break;
        case 8: tile<8, PANELS>(job, panels, row); break;
        case 7: tile<7, PANELS>(job, panels, row); break;
        case 6: tile<6, PANELS>(job, panels, row); break;
        case 5: tile<5, PANELS>(job, panels, row); break;
        case 4: tile<4, PANELS>(job, panels, row); break;
        case 3: tile<3, PANELS>(job, panels, row); break;
        case 2: tile<2, PANELS>(job, panels, row); break;
        case 1: tile<1, PANELS>(job, panels, row); break;
        default: break;
    }
}

template <int PANELS> OMNI_AVX512 void column(const ConvJob & job, const ConvBlock & block, int64_t first) {
    Panel panels[PANELS];
    for (int p = 0; p < PANELS; ++p) {
        panels[p] = panel_of(job, first + p);
    }
    int64_t row = block.row_begin;
    for (; row + k_tile_rows <= block.row_end; row += k_tile_rows) {
        tile<k_tile_rows, PANELS>(job, panels, row);
    }
    rest<PANELS>(job, panels, row, block.row_end - row);
}

}  // namespace

OMNI_AVX512 void conv_f32_avx512(const ConvJob & job, const ConvBlock & block) {
    int64_t panel = block.panel_begin;
    for (; panel + 2 <= block.panel_end; panel += 2) {
        column<2>(job, block, panel);
    }
    if (panel < block.panel_end) {
        column<1>(job, block, panel);
    }
}

}  // namespace omni

#endif

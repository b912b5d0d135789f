// The bf16 convolution with AVX-512: tiles of 12 rows x 32 outputs in 24 accumulators, pairs of channels multiplied in
// bfloat16 and summed in f32. For CPUs that have such products but no AMX tiles.
#include "kernels/conv_avx512.h"

#if defined(__x86_64__)

#include <cstring>

#define OMNI_AVX512_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16,fma")))

namespace omni {

namespace {

constexpr int k_tile_rows = 12;

using Panel = ConvPanel<uint16_t>;

// Two neighbouring channels of one row, in every lane.
OMNI_AVX512_BF16 inline __m512bh pair_of(const uint16_t * x) {
    int32_t bits;
    std::memcpy(&bits, x, sizeof bits);
    return (__m512bh) _mm512_set1_epi32(bits);
}

// ROWS rows from `row` on, PANELS neighbouring panels.
template <int ROWS, int PANELS> OMNI_AVX512_BF16 void tile(const ConvJob & job, const Panel * panels, int64_t row) {
    const auto * x = static_cast<const uint16_t *>(job.x);
    __m512       sum[PANELS][ROWS];
    for (int p = 0; p < PANELS; ++p) {
        for (int r = 0; r < ROWS; ++r) {
            sum[p][r] = _mm512_setzero_ps();
        }
    }
    for (int64_t tap = 0; tap < job.taps; ++tap) {
        const uint16_t * from  = x + (row + tap * job.dilation) * job.in;
        const int64_t    depth = tap * job.in * k_conv_panel;
        for (int64_t c = 0; c < job.in; c += 2) {
            __m512bh w[PANELS];
            for (int p = 0; p < PANELS; ++p) {
                w[p] = (__m512bh) _mm512_loadu_si512(panels[p].weight + depth + c * k_conv_panel);
            }
            for (int r = 0; r < ROWS; ++r) {
                const __m512bh pair = pair_of(from + r * job.in + c);
                for (int p = 0; p < PANELS; ++p) {
                    sum[p][r] = _mm512_dpbf16_ps(sum[p][r], pair, w[p]);
                }
            }
        }
    }
    for (int p = 0; p < PANELS; ++p) {
        for (int r = 0; r < ROWS; ++r) {
            store_row(job, panels[p], row + r, sum[p][r]);
        }
    }
}

// The last `count` rows, at most ROWS.
template <int ROWS, int PANELS>
OMNI_AVX512_BF16 void rest(const ConvJob & job, const Panel * panels, int64_t row, int64_t count) {
    if (count == ROWS) {
        tile<ROWS, PANELS>(job, panels, row);
    } else if constexpr (ROWS > 1) {
        rest<ROWS - 1, PANELS>(job, panels, row, count);
    }
}

template <int PANELS> OMNI_AVX512_BF16 void column(const ConvJob & job, const ConvBlock & block, int64_t first) {
    Panel panels[PANELS];
    for (int p = 0; p < PANELS; ++p) {
        panels[p] = conv_panel<uint16_t>(job, first + p);
    }
    int64_t row = block.row_begin;
    for (; row + k_tile_rows <= block.row_end; row += k_tile_rows) {
        tile<k_tile_rows, PANELS>(job, panels, row);
    }
    rest<k_tile_rows - 1, PANELS>(job, panels, row, block.row_end - row);
}

}  // namespace

OMNI_AVX512_BF16 void conv_bf16_avx512(const ConvJob & job, const ConvBlock & block) {
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

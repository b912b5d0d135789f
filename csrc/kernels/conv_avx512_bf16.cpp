// The bf16 convolution with AVX-512: tiles of up to 12 rows x 32 outputs in 24 accumulators, pairs of channels
// multiplied in bfloat16 and summed in f32. For CPUs that have such products but no AMX tiles.
#include "kernels/conv_avx512.h"
#include "kernels/share.h"

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
        const uint16_t * from  = x + row * job.x_row + tap * job.x_tap;
        const int64_t    depth = tap * job.in * k_conv_panel;
        for (int64_t c = 0; c < job.in; c += 2) {
            __m512bh w[PANELS];
            for (int p = 0; p < PANELS; ++p) {
                const uint16_t * weight = panels[p].weight + depth + c * k_conv_panel;
                w[p]                    = (__m512bh) _mm512_loadu_si512(weight);
                fetch_ahead(weight);
            }
            for (int r = 0; r < ROWS; ++r) {
                const __m512bh pair = pair_of(from + r * job.x_row + c);
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

// `count` rows, at most ROWS.
template <int ROWS, int PANELS>
OMNI_AVX512_BF16 void tile_of(const ConvJob & job, const Panel * panels, int64_t row, int64_t count) {
    if (count == ROWS) {
        tile<ROWS, PANELS>(job, panels, row);
    } else if constexpr (ROWS > 1) {
        tile_of<ROWS - 1, PANELS>(job, panels, row, count);
    }
}

template <int PANELS> OMNI_AVX512_BF16 void column(const ConvJob & job, const ConvBlock & block, int64_t first) {
    Panel panels[PANELS];
    for (int p = 0; p < PANELS; ++p) {
        panels[p] = conv_panel<uint16_t>(job, first + p);
    }
    // Tiles of about the same height: a lone row at the end would take half as long as a whole tile.
    const int64_t rows  = block.row_end - block.row_begin;
    const int     tiles = (int) ((rows + k_tile_rows - 1) / k_tile_rows);
    for (int i = 0; i < tiles; ++i) {
        const Share some = share_of(rows, 1, i, tiles);
        tile_of<k_tile_rows, PANELS>(job, panels, block.row_begin + some.begin, some.end - some.begin);
    }
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

// The f32 convolution with AVX-512: tiles of up to 12 rows x 32 outputs in 24 accumulators.
#include "kernels/conv_avx512.h"
#include "kernels/share.h"

#if defined(__x86_64__)

namespace omni {

namespace {

constexpr int       k_tile_rows = 12;
constexpr __mmask16 k_all       = 0xFFFF;  // GCC's plain forms warn of the value that they leave undefined

struct Float32 {
    using Value = float;

    static OMNI_AVX512 inline __m512 load(const float * w) { return _mm512_loadu_ps(w); }
};

struct Float16 {
    using Value = uint16_t;

    static OMNI_AVX512 inline __m512 load(const uint16_t * w) {
        return _mm512_maskz_cvtph_ps(k_all, _mm256_loadu_si256(reinterpret_cast<const __m256i *>(w)));
    }
};

struct Bfloat16 {
    using Value = uint16_t;

    static OMNI_AVX512 inline __m512 load(const uint16_t * w) {
        const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(w));
        return _mm512_castsi512_ps(_mm512_maskz_slli_epi32(k_all, _mm512_maskz_cvtepu16_epi32(k_all, bits), 16));
    }
};

template <typename Type> using Panel = ConvPanel<typename Type::Value>;

// ROWS rows from `row` on, PANELS neighbouring panels.
template <typename Type, int ROWS, int PANELS>
OMNI_AVX512 void tile(const ConvJob & job, const Panel<Type> * panels, int64_t row) {
    const auto * x = static_cast<const float *>(job.x);
    __m512       sum[PANELS][ROWS];
    for (int p = 0; p < PANELS; ++p) {
        for (int r = 0; r < ROWS; ++r) {
            sum[p][r] = _mm512_setzero_ps();
        }
    }
    for (int64_t tap = 0; tap < job.taps; ++tap) {
        const float * from  = x + row * job.x_row + tap * job.x_tap;
        const int64_t depth = tap * job.in * k_conv_panel;
        for (int64_t c = 0; c < job.in; ++c) {
            __m512 w[PANELS];
            for (int p = 0; p < PANELS; ++p) {
                const auto * weight = panels[p].weight + depth + c * k_conv_panel;
                w[p]                = Type::load(weight);
                fetch_ahead(weight);
            }
            for (int r = 0; r < ROWS; ++r) {
                const __m512 value = _mm512_set1_ps(from[r * job.x_row + c]);
                for (int p = 0; p < PANELS; ++p) {
                    sum[p][r] = _mm512_fmadd_ps(value, w[p], sum[p][r]);
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
template <typename Type, int ROWS, int PANELS>
OMNI_AVX512 void tile_of(const ConvJob & job, const Panel<Type> * panels, int64_t row, int64_t count) {
    if (count == ROWS) {
        tile<Type, ROWS, PANELS>(job, panels, row);
    } else if constexpr (ROWS > 1) {
        tile_of<Type, ROWS - 1, PANELS>(job, panels, row, count);
    }
}

template <typename Type, int PANELS>
OMNI_AVX512 void column(const ConvJob & job, const ConvBlock & block, int64_t first) {
    Panel<Type> panels[PANELS];
    for (int p = 0; p < PANELS; ++p) {
        panels[p] = conv_panel<typename Type::Value>(job, first + p);
    }
    // Tiles of about the same height: a lone row at the end would take half as long as a whole tile.
    const int64_t rows  = block.row_end - block.row_begin;
    const int     tiles = (int) ((rows + k_tile_rows - 1) / k_tile_rows);
    for (int i = 0; i < tiles; ++i) {
        const Share some = share_of(rows, 1, i, tiles);
        tile_of<Type, k_tile_rows, PANELS>(job, panels, block.row_begin + some.begin, some.end - some.begin);
    }
}

template <typename Type> OMNI_AVX512 void columns(const ConvJob & job, const ConvBlock & block) {
    int64_t panel = block.panel_begin;
    for (; panel + 2 <= block.panel_end; panel += 2) {
        column<Type, 2>(job, block, panel);
    }
    if (panel < block.panel_end) {
        column<Type, 1>(job, block, panel);
    }
}

}  // namespace

OMNI_AVX512 void conv_f32_avx512(const ConvJob & job, const ConvBlock & block) {
    switch (job.panels) {
        case PanelType::f32: columns<Float32>(job, block); break;
        case PanelType::f16: columns<Float16>(job, block); break;
        case PanelType::bf16: columns<Bfloat16>(job, block); break;
    }
}

}  // namespace omni

#endif

// The f32 convolution with AVX2: tiles of 6 rows x 16 outputs in 12 accumulators.
#include "kernels/conv.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <utility>

#define OMNI_AVX2 __attribute__((target("avx2,fma,f16c")))

namespace omni {

namespace {

constexpr int64_t k_tile_rows = 6;
constexpr int     k_halves    = 2;  // vectors a panel

OMNI_AVX2 void store(const ConvJob & job, int64_t row, int64_t first, __m256 low, __m256 high) {
    const int64_t     width = std::min(k_conv_panel, job.out - first);
    alignas(32) float sum[k_conv_panel];
    _mm256_store_ps(sum, low);
    _mm256_store_ps(sum + 8, high);
    for (int64_t lane = 0; lane < width; ++lane) {
        const int64_t at     = row * job.y_row + first + lane;
        const float   bias   = job.bias != nullptr ? job.bias[(first + lane) % job.bias_period] : 0.0f;
        const float   biased = sum[lane] + bias;
        job.y[at]            = job.residual != nullptr ? biased + job.residual[at] : biased;
    }
}

// Not a loop, nor one that makes the sums zeros: where the compiler leaves it a loop, all sums lie in memory and every
// product is written there, which takes twice as long.
template <int... R>
OMNI_AVX2 inline __attribute__((always_inline)) void store_rows(const ConvJob & job, int64_t row, int64_t first,
                                                                const __m256 (&sum)[sizeof...(R)][k_halves],
                                                                std::integer_sequence<int, R...> /*rows*/) {
    (store(job, row + R, first, sum[R][0], sum[R][1]), ...);
}

struct Float32 {
    using Value = float;

    static OMNI_AVX2 inline __m256 load(const float * w) { return _mm256_loadu_ps(w); }
};

struct Float16 {
    using Value = uint16_t;

    static OMNI_AVX2 inline __m256 load(const uint16_t * w) {
        return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(w)));
    }
};

struct Bfloat16 {
    using Value = uint16_t;

    static OMNI_AVX2 inline __m256 load(const uint16_t * w) {
        const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i *>(w));
        return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
    }
};

template <typename Type, int ROWS> OMNI_AVX2 void tile(const ConvJob & job, int64_t panel, int64_t row) {
    using Value         = typename Type::Value;
    const auto * x      = static_cast<const float *>(job.x);
    const auto * weight = static_cast<const Value *>(job.weight) + panel * job.taps * job.in * k_conv_panel;
    __m256       sum[ROWS][k_halves] = {};
    for (int64_t tap = 0; tap < job.taps; ++tap) {
        const float * from = x + row * job.x_row + tap * job.x_tap;
        const Value * with = weight + tap * job.in * k_conv_panel;
        for (int64_t c = 0; c < job.in; ++c, with += k_conv_panel) {
            const __m256 low  = Type::load(with);
            const __m256 high = Type::load(with + 8);
            // Behind the last panel this is no address that anything is read from.
            _mm_prefetch(reinterpret_cast<const char *>(with) + k_fetched_ahead, _MM_HINT_T0);
            for (int r = 0; r < ROWS; ++r) {
                const __m256 value = _mm256_broadcast_ss(from + r * job.x_row + c);
                sum[r][0]          = _mm256_fmadd_ps(value, low, sum[r][0]);
                sum[r][1]          = _mm256_fmadd_ps(value, high, sum[r][1]);
            }
        }
    }
    store_rows(job, row, panel * k_conv_panel, sum, std::make_integer_sequence<int, ROWS>());
}

template <typename Type> OMNI_AVX2 void rest(const ConvJob & job, int64_t panel, int64_t row, int64_t count) {
    switch (count) {
        case 5: tile<Type, 5>(job, panel, row); break;
        case 4: tile<Type, 4>(job, panel, row); break;
        case 3: tile<Type, 3>(job, panel, row); break;
        case 2: tile<Type, 2>(job, panel, row); break;
        case 1: tile<Type, 1>(job, panel, row); break;
        default: break;
    }
}

template <typename Type> OMNI_AVX2 void columns(const ConvJob & job, const ConvBlock & block) {
    for (int64_t panel = block.panel_begin; panel < block.panel_end; ++panel) {
        int64_t row = block.row_begin;
        for (; row + k_tile_rows <= block.row_end; row += k_tile_rows) {
            tile<Type, k_tile_rows>(job, panel, row);
        }
        rest<Type>(job, panel, row, block.row_end - row);
    }
}

}  // namespace

OMNI_AVX2 void conv_f32_avx2(const ConvJob & job, const ConvBlock & block) {
    switch (job.panels) {
        case PanelType::f32: columns<Float32>(job, block); break;
        case PanelType::f16: columns<Float16>(job, block); break;
        case PanelType::bf16: columns<Bfloat16>(job, block); break;
    }
}

}  // namespace omni

#endif

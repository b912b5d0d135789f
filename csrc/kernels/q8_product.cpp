#include "kernels/q8_product.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "kernels/cpu_features.h"

#define OMNI_VNNI __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,f16c,fma")))

namespace omni {

namespace {

constexpr int64_t k_value_bytes  = k_q8_block;                     // of a block: 32 x int8
constexpr int64_t k_offset_bytes = 8 * (int64_t) sizeof(int32_t);  // of a block, see below
// Weights are fetched ahead by so many rows or bytes, whichever is more: the hardware follows one stream, not as many
// as a tile has rows.
constexpr int64_t k_ahead_rows  = 8;
constexpr int64_t k_ahead_bytes = 8192;

// A quantized column. The instruction multiplies unsigned by signed, so weights enter as w + 128; `offsets` holds
// -128 times the sum of every four values, where the sums begin.
struct Column {
    const char * values;
    const char * offsets;
    const char * scales;
};

Column column_at(const char * base, int64_t in) {
    const int64_t blocks = in / k_q8_block;
    return { base, base + blocks * k_value_bytes, base + blocks * (k_value_bytes + k_offset_bytes) };
}

bool cpu_has_vnni() {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (ecx & (1u << 11)) != 0;
}

OMNI_VNNI inline float largest(__m256 a) {
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    m        = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

OMNI_VNNI inline float sum_of(__m256 a) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s        = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

OMNI_VNNI void quantize_block(const float * x, char * values, char * offsets, char * scale) {
    constexpr int n_parts = 4;
    const __m256  sign    = _mm256_set1_ps(-0.0f);
    const __m256  zero    = _mm256_setzero_ps();
    __m256        part[n_parts];
    __m256        top_of = zero;
    // Zero, or NaN where a value is NaN or infinite: the maximum may pass over it.
    __m256 poison = zero;
    for (int i = 0; i < n_parts; ++i) {
        part[i] = _mm256_loadu_ps(x + 8 * i);
        top_of  = _mm256_max_ps(top_of, _mm256_andnot_ps(sign, part[i]));
        poison  = _mm256_fmadd_ps(part[i], zero, poison);
    }
    const float  top = largest(top_of);
    const float  d   = top / 127.0f + sum_of(poison);
    const __m256 by  = _mm256_set1_ps(top > 0 ? 127.0f / top : 0.0f);
    for (int i = 0; i < n_parts; ++i) {
        const __m256i whole = _mm256_cvtps_epi32(_mm256_mul_ps(part[i], by));
        const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
        const __m128i q     = _mm_packs_epi16(words, words);
        _mm_storel_epi64(reinterpret_cast<__m128i *>(values + 8 * i), q);
    }
    const __m256i q    = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(values));
    const __m256i sums = _mm256_dpbusd_epi32(_mm256_setzero_si256(), _mm256_set1_epi8(1), q);
    const __m256i away = _mm256_slli_epi32(_mm256_sub_epi32(_mm256_setzero_si256(), sums), 7);
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(offsets), away);
    std::memcpy(scale, &d, sizeof d);
}

OMNI_VNNI inline __m256i load(const char * from) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(from));
}

// The scale of a block of weights in every lane.
OMNI_VNNI inline __m256 scale_of(const char * block) {
    short bits;
    std::memcpy(&bits, block, sizeof bits);
    return _mm256_cvtph_ps(_mm_set1_epi16(bits));
}

OMNI_VNNI inline __m256 scale_of_column(const char * at) {
    float d;
    std::memcpy(&d, at, sizeof d);
    return _mm256_set1_ps(d);
}

// ROWS rows from `row` on, COLUMNS columns.
template <int ROWS, int COLUMNS>
OMNI_VNNI void tile(const Q8Job & job, const Column * columns, float * const * y, int64_t row) {
    const int64_t blocks    = job.in / k_q8_block;
    const int64_t row_bytes = blocks * k_q8_block_bytes;
    const int64_t ahead     = std::max(k_ahead_rows, k_ahead_bytes / row_bytes) * row_bytes;
    const char *  w         = job.weight + row * row_bytes;
    const __m256i flip      = _mm256_set1_epi8((char) 0x80);
    __m256        sum[ROWS][COLUMNS];
    for (int r = 0; r < ROWS; ++r) {
        for (int c = 0; c < COLUMNS; ++c) {
            sum[r][c] = _mm256_setzero_ps();
        }
    }
    for (int64_t b = 0; b < blocks; ++b, w += k_q8_block_bytes) {
        __m256i x[COLUMNS], offset[COLUMNS];
        __m256  d[COLUMNS];
        for (int c = 0; c < COLUMNS; ++c) {
            x[c]      = load(columns[c].values + b * k_value_bytes);
            offset[c] = load(columns[c].offsets + b * k_offset_bytes);
            d[c]      = scale_of_column(columns[c].scales + b * (int64_t) sizeof(float));
        }
        for (int r = 0; r < ROWS; ++r) {
            const char * block = w + r * row_bytes;
            _mm_prefetch(block + ahead, _MM_HINT_T0);
            const __m256i values = _mm256_xor_si256(load(block + 2), flip);
            const __m256  scale  = scale_of(block);
            for (int c = 0; c < COLUMNS; ++c) {
                const __m256 whole = _mm256_cvtepi32_ps(_mm256_dpbusd_epi32(offset[c], values, x[c]));
                sum[r][c]          = _mm256_fmadd_ps(whole, _mm256_mul_ps(scale, d[c]), sum[r][c]);
            }
        }
    }
    for (int c = 0; c < COLUMNS; ++c) {
        for (int r = 0; r < ROWS; ++r) {
            y[c][row + r] = sum_of(sum[r][c]);
        }
    }
}

template <int COLUMNS> OMNI_VNNI void rows(const Q8Job & job, const char * const * columns, float * const * y) {
    Column at[COLUMNS];
    for (int c = 0; c < COLUMNS; ++c) {
        at[c] = column_at(columns[c], job.in);
    }
    constexpr int tile_rows = COLUMNS > 2 ? 4 : 8;
    int64_t       row       = job.row_begin;
    for (; row + tile_rows <= job.row_end; row += tile_rows) {
        tile<tile_rows, COLUMNS>(job, at, y, row);
    }
    for (; row < job.row_end; ++row) {
        tile<1, COLUMNS>(job, at, y, row);
    }
}

}  // namespace

bool has_q8_product() {
    static const bool has = best_simd() == Simd::avx512 && cpu_has_vnni();
    return has;
}

void q8_quantize(const float * x, int64_t n, char * column) {
    const int64_t blocks  = n / k_q8_block;
    char *        offsets = column + blocks * k_value_bytes;
    char *        scales  = offsets + blocks * k_offset_bytes;
    for (int64_t b = 0; b < blocks; ++b) {
        quantize_block(x + b * k_q8_block, column + b * k_value_bytes, offsets + b * k_offset_bytes,
                       scales + b * (int64_t) sizeof(float));
    }
}

void q8_multiply(const Q8Job & job, const char * const * columns, float * const * y, int count) {
    switch (count) {
        case 4: rows<4>(job, columns, y); break;
        case 3: rows<3>(job, columns, y); break;
        case 2: rows<2>(job, columns, y); break;
        default: rows<1>(job, columns, y); break;
    }
}

}  // namespace omni

#else

namespace omni {

bool has_q8_product() {
    return false;
}

void q8_quantize(const float * /*x*/, int64_t /*n*/, char * /*column*/) {}

void q8_multiply(const Q8Job & /*job*/, const char * const * /*columns*/, float * const * /*y*/, int /*count*/) {}

}  // namespace omni

#endif

namespace omni {

int64_t q8_column_bytes(int64_t n) {
    constexpr int64_t line  = 64;
    const int64_t     bytes = n / k_q8_block * (k_q8_block + 8 * (int64_t) sizeof(int32_t) + (int64_t) sizeof(float));
    return (bytes + line - 1) / line * line;
}

}  // namespace omni

#include "kernels/q8_product.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "kernels/cpu_features.h"

#define OMNI_VNNI __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,f16c,fma")))

namespace omni {

namespace {

// A quantized column is a row of records, each of two blocks: 64 values; 16 offsets; 16 scales, every block's eight
// times. The instruction multiplies unsigned by signed, so weights enter as w + 128; an offset is -128 times the sum of
// four values, where the sum of their products begins. A second block that isn't there is all zeros.
constexpr int64_t k_values  = 0;
constexpr int64_t k_offsets = 2 * k_q8_block;
constexpr int64_t k_scales  = k_offsets + 16 * (int64_t) sizeof(int32_t);
constexpr int64_t k_record  = k_scales + 16 * (int64_t) sizeof(float);

// Weights are fetched ahead by so many rows or bytes, whichever is more: the hardware follows one stream, not as many
// as a tile has rows.
constexpr int64_t k_ahead_rows  = 8;
constexpr int64_t k_ahead_bytes = 8192;

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

// One block into its half (0 or 1) of a record.
OMNI_VNNI void quantize_block(const float * x, char * record, int half) {
    char *        values  = record + k_values + half * k_q8_block;
    char *        offsets = record + k_offsets + half * 8 * (int64_t) sizeof(int32_t);
    char *        scales  = record + k_scales + half * 8 * (int64_t) sizeof(float);
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
    _mm256_storeu_ps(reinterpret_cast<float *>(scales), _mm256_set1_ps(d));
}

// GCC's plain forms of these warn of the value that they leave undefined.
constexpr __mmask16 k_all = 0xFFFF;

OMNI_VNNI inline __m256i load_block(const char * block) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(block + 2));
}

// The values of two neighbouring blocks; of one, and zeros.
OMNI_VNNI inline __m512i load_pair(const char * block) {
    return _mm512_maskz_inserti64x4(0xFF, _mm512_castsi256_si512(load_block(block)),
                                    load_block(block + k_q8_block_bytes), 1);
}

OMNI_VNNI inline __m512i load_single(const char * block) {
    return _mm512_maskz_inserti64x4(0xFF, _mm512_setzero_si512(), load_block(block), 0);
}

OMNI_VNNI inline __m128i scale_bits(const char * block) {
    short bits;
    std::memcpy(&bits, block, sizeof bits);
    return _mm_set1_epi16(bits);
}

// The scales of two neighbouring blocks, eight times each; of one, and zeros.
OMNI_VNNI inline __m512 scales_of_pair(const char * block) {
    const __m128i second = scale_bits(block + k_q8_block_bytes);
    return _mm512_maskz_cvtph_ps(k_all, _mm256_inserti128_si256(_mm256_castsi128_si256(scale_bits(block)), second, 1));
}

OMNI_VNNI inline __m512 scales_of_single(const char * block) {
    return _mm512_maskz_cvtph_ps(k_all, _mm256_zextsi128_si256(scale_bits(block)));
}

OMNI_VNNI inline float sum_of(__m512 a) {
    return sum_of(_mm256_add_ps(_mm512_maskz_extractf32x8_ps(0xFF, a, 0), _mm512_maskz_extractf32x8_ps(0xFF, a, 1)));
}

template <int ROWS, int COLUMNS> struct Sums {
    __m512 of[ROWS][COLUMNS];
};

// Adds what the blocks at w, ROWS rows of them, make of a record of every column.
template <int ROWS, int COLUMNS, bool PAIR> OMNI_VNNI inline void
accumulate(Sums<ROWS, COLUMNS> & sums, const char * w, int64_t row_bytes, int64_t ahead, const char * const * records) {
    const __m512i flip = _mm512_set1_epi8((char) 0x80);
    __m512i       x[COLUMNS], offset[COLUMNS];
    __m512        d[COLUMNS];
    for (int c = 0; c < COLUMNS; ++c) {
        x[c]      = _mm512_loadu_si512(records[c] + k_values);
        offset[c] = _mm512_loadu_si512(records[c] + k_offsets);
        d[c]      = _mm512_loadu_ps(records[c] + k_scales);
    }
    for (int r = 0; r < ROWS; ++r) {
        const char * block = w + r * row_bytes;
        _mm_prefetch(block + ahead, _MM_HINT_T0);
        const __m512i values = _mm512_xor_si512(PAIR ? load_pair(block) : load_single(block), flip);
        const __m512  scale  = PAIR ? scales_of_pair(block) : scales_of_single(block);
        for (int c = 0; c < COLUMNS; ++c) {
            const __m512 whole = _mm512_maskz_cvtepi32_ps(k_all, _mm512_dpbusd_epi32(offset[c], values, x[c]));
            sums.of[r][c]      = _mm512_fmadd_ps(whole, _mm512_mul_ps(scale, d[c]), sums.of[r][c]);
        }
    }
}

// ROWS rows from `row` on, COLUMNS columns.
template <int ROWS, int COLUMNS>
OMNI_VNNI void tile(const Q8Job & job, const char * const * columns, float * const * y, int64_t row) {
    const int64_t blocks    = job.in / k_q8_block;
    const int64_t row_bytes = blocks * k_q8_block_bytes;
    const int64_t ahead     = std::max(k_ahead_rows, k_ahead_bytes / row_bytes) * row_bytes;
    const char *  w         = job.weight + row * row_bytes;
    const char *  records[COLUMNS];
    for (int c = 0; c < COLUMNS; ++c) {
        records[c] = columns[c];
    }
    Sums<ROWS, COLUMNS> sums;
    for (int r = 0; r < ROWS; ++r) {
        for (int c = 0; c < COLUMNS; ++c) {
            sums.of[r][c] = _mm512_setzero_ps();
        }
    }
    for (int64_t pair = 0; pair < blocks / 2; ++pair) {
        accumulate<ROWS, COLUMNS, true>(sums, w, row_bytes, ahead, records);
        w += 2 * k_q8_block_bytes;
        for (int c = 0; c < COLUMNS; ++c) {
            records[c] += k_record;
        }
    }
    if (blocks % 2 != 0) {
        accumulate<ROWS, COLUMNS, false>(sums, w, row_bytes, ahead, records);
    }
    for (int c = 0; c < COLUMNS; ++c) {
        for (int r = 0; r < ROWS; ++r) {
            y[c][row + r] = sum_of(sums.of[r][c]);
        }
    }
}

template <int COLUMNS> OMNI_VNNI void rows(const Q8Job & job, const char * const * columns, float * const * y) {
    constexpr int tile_rows = COLUMNS > 2 ? 4 : 8;
    int64_t       row       = job.row_begin;
    for (; row + tile_rows <= job.row_end; row += tile_rows) {
        tile<tile_rows, COLUMNS>(job, columns, y, row);
    }
    for (; row < job.row_end; ++row) {
        tile<1, COLUMNS>(job, columns, y, row);
    }
}

}  // namespace

bool has_q8_product() {
    return has_vnni();
}

void q8_quantize(const float * x, int64_t n, char * column) {
    const int64_t blocks = n / k_q8_block;
    for (int64_t b = 0; b < blocks; ++b) {
        quantize_block(x + b * k_q8_block, column + b / 2 * k_record, (int) (b % 2));
    }
    if (blocks % 2 != 0) {
        char * last = column + blocks / 2 * k_record;
        for (const int64_t part : { k_values, k_offsets, k_scales }) {
            const int64_t half = part == k_values ? k_q8_block : 8 * (int64_t) sizeof(float);
            std::memset(last + part + half, 0, (size_t) half);
        }
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
    constexpr int64_t record = 2 * (k_q8_block + 8 * (int64_t) sizeof(int32_t) + 8 * (int64_t) sizeof(float));
    return (n / k_q8_block + 1) / 2 * record;
}

}  // namespace omni

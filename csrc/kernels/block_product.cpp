#include "kernels/block_product.h"

namespace omni {

namespace {

// A quantized column is a row of records, each of two blocks: 64 values; 16 offsets; 16 scales, every block's eight
// times. The instruction multiplies unsigned by signed, so weights of 8 bits enter as w + 128; an offset is -128 times
// the sum of four values, where the sum of their products begins. A second block that isn't there is all zeros.
constexpr int64_t k_values  = 0;
constexpr int64_t k_offsets = 2 * k_q8_block;
constexpr int64_t k_scales  = k_offsets + 16 * (int64_t) sizeof(int32_t);
constexpr int64_t k_record  = k_scales + 16 * (int64_t) sizeof(float);

// Behind the records lies, for each block, what is taken away for a weight of 1 less: -d times the sum of its values.
constexpr int64_t less_at(int64_t n) {
    return (n / k_q8_block + 1) / 2 * k_record;
}

}  // namespace

int64_t block_column_bytes(int64_t n) {
    return less_at(n) + n / k_q8_block * (int64_t) sizeof(float);
}

}  // namespace omni

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "kernels/cpu_features.h"

#define OMNI_VNNI __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,f16c,fma")))

namespace omni {

namespace {

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

// One block into its half (0 or 1) of a record, and what it takes away.
OMNI_VNNI void quantize_block(const float * x, char * record, int half, char * less) {
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
    const float taken = -d * sum_of(_mm256_cvtepi32_ps(sums));
    std::memcpy(less, &taken, sizeof taken);
}

// GCC's plain forms of these warn of the value that they leave undefined.
constexpr __mmask16 k_all = 0xFFFF;

OMNI_VNNI inline __m512i joined(__m256i first, __m256i second) {
    return _mm512_maskz_inserti64x4(0xFF, _mm512_castsi256_si512(first), second, 1);
}

OMNI_VNNI inline __m128i scale_bits(const char * block) {
    short bits;
    std::memcpy(&bits, block, sizeof bits);
    return _mm_set1_epi16(bits);
}

OMNI_VNNI inline float half_float(const char * from) {
    return _mm_cvtss_f32(_mm_cvtph_ps(scale_bits(from)));
}

OMNI_VNNI inline float sum_of(__m512 a) {
    return sum_of(_mm256_add_ps(_mm512_maskz_extractf32x8_ps(0xFF, a, 0), _mm512_maskz_extractf32x8_ps(0xFF, a, 1)));
}

OMNI_VNNI inline __m256i load_256(const char * from) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(from));
}

OMNI_VNNI inline __m128i load_128(const char * from) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i *>(from));
}

// 32 bytes -> their low halves, then their high ones.
OMNI_VNNI inline __m512i halves_of(__m256i bytes) {
    const __m512i both = joined(bytes, _mm256_srli_epi16(bytes, 4));
    return _mm512_and_si512(both, _mm512_set1_epi8(15));
}

// The same of each 16 of them.
OMNI_VNNI inline __m512i halves_by_16(__m256i bytes) {
    const __m512i halves = halves_of(bytes);
    return _mm512_maskz_shuffle_i64x2(0xFF, halves, halves, 0xD8);
}

// What the 16 codes of the formats iq4 stand for, and 128.
OMNI_VNNI inline __m512i curve() {
    const __m128i values = _mm_setr_epi8(1, 24, 45, 63, 79, 93, 106, 118, (char) 129, (char) 141, (char) 153,
                                         (char) 166, (char) 181, (char) 197, (char) 217, (char) 241);
    return _mm512_maskz_broadcast_i32x4(k_all, values);
}

// --- formats --------------------------------------------------------------------------------------------------------
//
// Weights are read 64 at a time, as a column's records are. Of a format with one scale for 32 weights these are two
// blocks, or the last one and zeros; the others have 256 weights a block, and scales that are unpacked for all of them.

struct Q8_0 {
    static constexpr int64_t values = k_q8_block, bytes = k_q8_block_bytes;
    static constexpr int     zero = 128;

    template <bool PAIR> static OMNI_VNNI __m512i load(const char * block) {
        const __m256i second = PAIR ? load_256(block + bytes + 2) : _mm256_setzero_si256();
        return _mm512_xor_si512(joined(load_256(block + 2), second), _mm512_set1_epi8((char) 0x80));
    }
};

struct Q4_0 {
    static constexpr int64_t values = 32, bytes = 18;
    static constexpr int     zero = 8;

    template <bool PAIR> static OMNI_VNNI __m512i load(const char * block) {
        const __m128i second = PAIR ? load_128(block + bytes + 2) : _mm_setzero_si128();
        return halves_by_16(_mm256_inserti128_si256(_mm256_castsi128_si256(load_128(block + 2)), second, 1));
    }
};

struct Iq4Nl {
    static constexpr int64_t values = 32, bytes = 18;
    static constexpr int     zero = 128;

    template <bool PAIR> static OMNI_VNNI __m512i load(const char * block) {
        return _mm512_shuffle_epi8(curve(), Q4_0::load<PAIR>(block));
    }
};

// Scales of a block of 256, as many as it has, and what each takes from the sum of x.
struct Scales {
    __m512 of, least;
};

OMNI_VNNI inline __m512 widened(__m256 lower) {
    return _mm512_maskz_insertf32x8(k_all, _mm512_setzero_ps(), lower, 0);
}

// Eight bytes as floats.
OMNI_VNNI inline __m256 floats_of(const uint32_t * bytes) {
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(bytes))));
}

// Eight scales and eight least values of 6 bits in 12 bytes.
OMNI_VNNI inline Scales unpack_six_bits(const char * block) {
    uint32_t a, b, c;
    std::memcpy(&a, block + 4, 4);
    std::memcpy(&b, block + 8, 4);
    std::memcpy(&c, block + 12, 4);
    constexpr uint32_t low_6 = 0x3f3f3f3f, low_4 = 0x0f0f0f0f, low_2 = 0x03030303;
    const uint32_t     d[] = { a & low_6, (c & low_4) | (((a >> 6) & low_2) << 4) };
    const uint32_t     m[] = { b & low_6, ((c >> 4) & low_4) | (((b >> 6) & low_2) << 4) };
    return { widened(_mm256_mul_ps(floats_of(d), _mm256_set1_ps(half_float(block)))),
             widened(_mm256_mul_ps(floats_of(m), _mm256_set1_ps(half_float(block + 2)))) };
}

struct Q4K {
    static constexpr int64_t values = 256, bytes = 144;
    static constexpr int     zero = 0, scale_count = 8;

    static OMNI_VNNI Scales unpack(const char * block) { return unpack_six_bits(block); }

    static OMNI_VNNI __m512i load(const char * block, int part) { return halves_of(load_256(block + 16 + 32 * part)); }
};

struct Q5K {
    static constexpr int64_t values = 256, bytes = 176;
    static constexpr int     zero = 0, scale_count = 8;

    static OMNI_VNNI Scales unpack(const char * block) { return unpack_six_bits(block); }

    // The fifth bits of the two times 32 weights are bits 2 * part and 2 * part + 1 of 32 bytes.
    static OMNI_VNNI __m512i load(const char * block, int part) {
        const __m512i four = halves_of(load_256(block + 48 + 32 * part));
        const __m256i high = load_256(block + 16);
        const __m512i mask =
            joined(_mm256_set1_epi8((char) (1 << (2 * part))), _mm256_set1_epi8((char) (1 << (2 * part + 1))));
        const __mmask64 fifth = _mm512_test_epi8_mask(joined(high, high), mask);
        return _mm512_mask_add_epi8(four, fifth, four, _mm512_set1_epi8(16));
    }
};

struct Q6K {
    static constexpr int64_t values = 256, bytes = 210;
    static constexpr int     zero = 32, scale_count = 16;

    static OMNI_VNNI Scales unpack(const char * block) {
        const __m512i whole = _mm512_maskz_cvtepi8_epi32(k_all, load_128(block + 192));
        const __m512  d     = _mm512_set1_ps(half_float(block + 208));
        return { _mm512_mul_ps(_mm512_maskz_cvtepi32_ps(k_all, whole), d), _mm512_setzero_ps() };
    }

    // Of each 128 weights the first 64 have the low halves of 64 bytes, the others the high ones; two bits more of each
    // lie in 32 bytes, those of the first 32 weights lowest.
    static OMNI_VNNI __m512i load(const char * block, int part) {
        const char *  low   = block + 64 * (part / 2);
        const __m512i four  = _mm512_loadu_si512(low);
        const __m256i high  = load_256(block + 128 + 32 * (part / 2));
        const int     shift = 4 * (part % 2);
        const __m512i first = _mm512_and_si512(shift == 0 ? four : _mm512_srli_epi16(four, 4), _mm512_set1_epi8(15));
        const __m256i two   = shift == 0 ? high : _mm256_srli_epi16(high, 4);
        const __m512i both  = joined(_mm256_slli_epi16(two, 4), _mm256_slli_epi16(two, 2));
        return _mm512_or_si512(first, _mm512_and_si512(both, _mm512_set1_epi8(0x30)));
    }
};

struct Iq4Xs {
    static constexpr int64_t values = 256, bytes = 136;
    static constexpr int     zero = 128, scale_count = 8;

    // Of each scale four bits lie in 4 bytes and two in the 2 before them.
    static OMNI_VNNI Scales unpack(const char * block) {
        uint16_t high;
        uint32_t low;
        std::memcpy(&high, block + 2, sizeof high);
        std::memcpy(&low, block + 4, sizeof low);
        const __m256i place = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
        const __m256i lower =
            _mm256_and_si256(_mm256_srlv_epi32(_mm256_set1_epi32((int) low), place), _mm256_set1_epi32(15));
        const __m256i shift = _mm256_srli_epi32(place, 1);
        const __m256i higher =
            _mm256_and_si256(_mm256_srlv_epi32(_mm256_set1_epi32(high), shift), _mm256_set1_epi32(3));
        const __m256i whole  = _mm256_or_si256(lower, _mm256_slli_epi32(higher, 4));
        const __m256  scales = _mm256_cvtepi32_ps(_mm256_sub_epi32(whole, _mm256_set1_epi32(32)));
        return { widened(_mm256_mul_ps(scales, _mm256_set1_ps(half_float(block)))), _mm512_setzero_ps() };
    }

    static OMNI_VNNI __m512i load(const char * block, int part) {
        return _mm512_shuffle_epi8(curve(), halves_by_16(load_256(block + 8 + 32 * part)));
    }
};

// --- tiles ----------------------------------------------------------------------------------------------------------

template <int ROWS, int COLUMNS> struct Sums {
    __m512 of[ROWS][COLUMNS];

    OMNI_VNNI Sums() {
        for (auto & row : of) {
            for (__m512 & sum : row) {
                sum = _mm512_setzero_ps();
            }
        }
    }
};

// One record of every column, for a format whose values enter as w + ZERO: an offset becomes -ZERO times the sum. A
// ZERO of 0 has least values instead.
template <int COLUMNS, int ZERO> struct Records {
    __m512i x[COLUMNS], offset[COLUMNS];
    __m512  d[COLUMNS];

    OMNI_VNNI explicit Records(const char * const * records) {
        for (int c = 0; c < COLUMNS; ++c) {
            x[c]      = _mm512_loadu_si512(records[c] + k_values);
            offset[c] = ZERO == 0 ? _mm512_setzero_si512() : _mm512_loadu_si512(records[c] + k_offsets);
            if (ZERO == 32 || ZERO == 8) {
                offset[c] = _mm512_maskz_srai_epi32(k_all, offset[c], ZERO == 32 ? 2 : 4);
            }
            d[c] = _mm512_loadu_ps(records[c] + k_scales);
        }
    }
};

// Where weights are and come from. One row is one stream, which the hardware follows better alone than with advice. A
// tile of several is none, so the tile behind it is fetched meanwhile, from end to end, into the second cache: the
// first one's few pending lines are needed by what is computed.
template <int ROWS> struct Stream {
    const char * at;
    int64_t      row_bytes;
    const char * next = at + ROWS * row_bytes;

    OMNI_VNNI void advance(int64_t bytes) {
        at += bytes;
        if (ROWS > 1) {
            for (int64_t line = 0; line < ROWS * bytes; line += 64) {
                _mm_prefetch(next + line, _MM_HINT_T1);
            }
            next += ROWS * bytes;
        }
    }
};

// Adds what two blocks, or one, of ROWS rows make of a record of every column.
template <class Format, int ROWS, int COLUMNS, bool PAIR>
OMNI_VNNI inline void accumulate(Sums<ROWS, COLUMNS> & sums, const Stream<ROWS> & w, const char * const * records) {
    const Records<COLUMNS, Format::zero> read(records);
    for (int r = 0; r < ROWS; ++r) {
        const char *  block  = w.at + r * w.row_bytes;
        const __m512i values = Format::template load<PAIR>(block);
        const __m128i second = PAIR ? scale_bits(block + Format::bytes) : _mm_setzero_si128();
        const __m256i halves = _mm256_inserti128_si256(_mm256_castsi128_si256(scale_bits(block)), second, 1);
        const __m512  scale  = _mm512_maskz_cvtph_ps(k_all, halves);
        for (int c = 0; c < COLUMNS; ++c) {
            const __m512i whole = _mm512_dpbusd_epi32(read.offset[c], values, read.x[c]);
            sums.of[r][c] =
                _mm512_fmadd_ps(_mm512_maskz_cvtepi32_ps(k_all, whole), _mm512_mul_ps(scale, read.d[c]), sums.of[r][c]);
        }
    }
}

template <class Format, int ROWS, int COLUMNS>
OMNI_VNNI inline void accumulate_row(Sums<ROWS, COLUMNS> & sums, Stream<ROWS> w, const char ** records) {
    const int64_t blocks = w.row_bytes / Format::bytes;
    for (int64_t pair = 0; pair < blocks / 2; ++pair) {
        accumulate<Format, ROWS, COLUMNS, true>(sums, w, records);
        w.advance(2 * Format::bytes);
        for (int c = 0; c < COLUMNS; ++c) {
            records[c] += k_record;
        }
    }
    if (blocks % 2 != 0) {
        accumulate<Format, ROWS, COLUMNS, false>(sums, w, records);
    }
}

// Which scale each of the 16 sums of four weights takes, of the 64 of a part.
template <int COUNT> OMNI_VNNI inline __m512 scales_of_part(__m512 scales, int part) {
    const __m512i eighths = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    const __m512i fourths = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    const __m512i first   = _mm512_set1_epi32(COUNT / 4 * part);
    return _mm512_maskz_permutexvar_ps(k_all, _mm512_add_epi32(COUNT == 16 ? fourths : eighths, first), scales);
}

// Adds what a block of 256 weights of ROWS rows makes of four records of every column, and takes the least values of
// its parts times the sums of x.
template <class Format, int ROWS, int COLUMNS> OMNI_VNNI inline void
accumulate_large(Sums<ROWS, COLUMNS> & sums, const Stream<ROWS> & w, const char ** records, const char * const * less) {
    Scales scales[ROWS];
    for (int r = 0; r < ROWS; ++r) {
        scales[r] = Format::unpack(w.at + r * w.row_bytes);
        if (Format::zero == 0) {
            for (int c = 0; c < COLUMNS; ++c) {
                const __m512 sum = _mm512_maskz_loadu_ps(0xFF, less[c]);
                sums.of[r][c]    = _mm512_fmadd_ps(sum, scales[r].least, sums.of[r][c]);
            }
        }
    }
    for (int part = 0; part < 4; ++part) {
        const Records<COLUMNS, Format::zero> read(records);
        for (int c = 0; c < COLUMNS; ++c) {
            records[c] += k_record;
        }
        for (int r = 0; r < ROWS; ++r) {
            const __m512i values = Format::load(w.at + r * w.row_bytes, part);
            const __m512  scale  = scales_of_part<Format::scale_count>(scales[r].of, part);
            for (int c = 0; c < COLUMNS; ++c) {
                const __m512i whole = _mm512_dpbusd_epi32(read.offset[c], values, read.x[c]);
                sums.of[r][c] = _mm512_fmadd_ps(_mm512_maskz_cvtepi32_ps(k_all, whole), _mm512_mul_ps(scale, read.d[c]),
                                                sums.of[r][c]);
            }
        }
    }
}

// ROWS rows from `row` on, COLUMNS columns.
template <class Format, int ROWS, int COLUMNS>
OMNI_VNNI void tile(const BlockProduct & job, const char * const * columns, float * const * y, int64_t row) {
    const int64_t row_bytes = job.in / Format::values * Format::bytes;
    Stream<ROWS>  w{ job.weight + row * row_bytes, row_bytes };
    const char *  records[COLUMNS];
    std::copy(columns, columns + COLUMNS, records);
    Sums<ROWS, COLUMNS> sums;
    if constexpr (Format::values == 256) {
        const char * less[COLUMNS];
        for (int c = 0; c < COLUMNS; ++c) {
            less[c] = columns[c] + less_at(job.in);
        }
        for (int64_t block = 0; block < job.in / 256; ++block) {
            accumulate_large<Format>(sums, w, records, less);
            w.advance(Format::bytes);
            for (int c = 0; c < COLUMNS; ++c) {
                less[c] += 8 * sizeof(float);
            }
        }
    } else {
        accumulate_row<Format>(sums, w, records);
    }
    for (int c = 0; c < COLUMNS; ++c) {
        for (int r = 0; r < ROWS; ++r) {
            y[c][row + r] = sum_of(sums.of[r][c]);
        }
    }
}

template <class Format, int COLUMNS>
OMNI_VNNI void rows(const BlockProduct & job, const char * const * columns, float * const * y) {
    constexpr int tile_rows = COLUMNS > 1 ? 4 : 1;
    int64_t       row       = job.row_begin;
    for (; row + tile_rows <= job.row_end; row += tile_rows) {
        tile<Format, tile_rows, COLUMNS>(job, columns, y, row);
    }
    for (; row < job.row_end; ++row) {
        tile<Format, 1, COLUMNS>(job, columns, y, row);
    }
}

template <class Format>
void multiply_as(const BlockProduct & job, const char * const * columns, float * const * y, int count) {
    switch (count) {
        case 4: rows<Format, 4>(job, columns, y); break;
        case 3: rows<Format, 3>(job, columns, y); break;
        case 2: rows<Format, 2>(job, columns, y); break;
        default: rows<Format, 1>(job, columns, y); break;
    }
}

}  // namespace

bool has_block_product() {
    return has_vnni();
}

void quantize_column(const float * x, int64_t n, char * column) {
    const int64_t blocks = n / k_q8_block;
    for (int64_t b = 0; b < blocks; ++b) {
        quantize_block(x + b * k_q8_block, column + b / 2 * k_record, (int) (b % 2),
                       column + less_at(n) + b * (int64_t) sizeof(float));
    }
    if (blocks % 2 != 0) {
        char * last = column + blocks / 2 * k_record;
        for (const int64_t part : { k_values, k_offsets, k_scales }) {
            const int64_t half = part == k_values ? k_q8_block : 8 * (int64_t) sizeof(float);
            std::memset(last + part + half, 0, (size_t) half);
        }
    }
}

void multiply(const BlockProduct & job, const char * const * columns, float * const * y, int count) {
    switch (job.format) {
        case BlockFormat::q8_0: multiply_as<Q8_0>(job, columns, y, count); break;
        case BlockFormat::q4_0: multiply_as<Q4_0>(job, columns, y, count); break;
        case BlockFormat::iq4_nl: multiply_as<Iq4Nl>(job, columns, y, count); break;
        case BlockFormat::q4_k: multiply_as<Q4K>(job, columns, y, count); break;
        case BlockFormat::q5_k: multiply_as<Q5K>(job, columns, y, count); break;
        case BlockFormat::q6_k: multiply_as<Q6K>(job, columns, y, count); break;
        case BlockFormat::iq4_xs: multiply_as<Iq4Xs>(job, columns, y, count); break;
    }
}

}  // namespace omni

#else

namespace omni {

bool has_block_product() {
    return false;
}

void quantize_column(const float * /*x*/, int64_t /*n*/, char * /*column*/) {}

void multiply(const BlockProduct & /*job*/, const char * const * /*columns*/, float * const * /*y*/, int /*count*/) {}

}  // namespace omni

#endif

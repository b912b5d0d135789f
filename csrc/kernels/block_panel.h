// 16 rows of weights in blocks, 256 weights at a time, brought into the order in which they are multiplied: a register
// has the same four weights of every row, a lane each, so that the products of a block add up in integers. For CPUs
// with AVX-512 and VNNI.
#pragma once

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#define OMNI_VNNI __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,f16c,fma")))

// What has its result in many registers must not become a call.
#define OMNI_VNNI_PART OMNI_VNNI __attribute__((always_inline)) inline

namespace omni {

constexpr int k_panel_rows   = 16;
constexpr int k_panel_values = 256;
constexpr int k_panel_block  = 32;
constexpr int k_panel_blocks = k_panel_values / k_panel_block;
constexpr int k_fours        = k_panel_block / 4;

// 32 weights of every row. A value is its weight plus what the format's `zero` says; a scale is for all of them, or for
// 16; `least` is what a format without a zero takes from every weight.
struct PanelBlock {
    __m512i values[k_fours];
    __m512  scales[2];
    __m512  least;
};

// GCC's plain forms of these warn of the value that they leave undefined.
constexpr __mmask16 k_all = 0xFFFF;

// --- rows to lanes --------------------------------------------------------------------------------------------------

// The same place of 16 rows.
struct Rows {
    const char * at;
    int64_t      stride;

    const char * row(int i) const { return at + i / 4 * (4 * stride) + i % 4 * stride; }

    // Another place of them. The addresses of its rows are to be made out of it: the compiler would rather keep all of
    // every place, for which it doesn't have the registers.
    Rows from(int64_t bytes) const {
        Rows there{ at + bytes, stride };
        __asm__("" : "+r"(there.at), "+r"(there.stride));
        return there;
    }
};

struct Fours {
    __m512i of[4];
};

OMNI_VNNI_PART __m256i two_rows(const char * first, const char * second) {
    const auto * a = reinterpret_cast<const __m128i *>(first);
    const auto * b = reinterpret_cast<const __m128i *>(second);
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(a)), _mm_loadu_si128(b), 1);
}

// 16 bytes each of every fourth row, from `row` on.
OMNI_VNNI_PART __m512i four_rows(const Rows & rows, int row) {
    const __m512i lower = _mm512_castsi256_si512(two_rows(rows.row(row), rows.row(row + 4)));
    return _mm512_maskz_inserti64x4(0xFF, lower, two_rows(rows.row(row + 8), rows.row(row + 12)), 1);
}

// 16 bytes of each row -> its four bytes in every lane, four times.
OMNI_VNNI_PART Fours transposed(const Rows & rows) {
    const __m512i a = four_rows(rows, 0), b = four_rows(rows, 1), c = four_rows(rows, 2), d = four_rows(rows, 3);
    const __m512i ab_low  = _mm512_maskz_unpacklo_epi32(k_all, a, b);
    const __m512i ab_high = _mm512_maskz_unpackhi_epi32(k_all, a, b);
    const __m512i cd_low  = _mm512_maskz_unpacklo_epi32(k_all, c, d);
    const __m512i cd_high = _mm512_maskz_unpackhi_epi32(k_all, c, d);
    return { { _mm512_maskz_unpacklo_epi64(0xFF, ab_low, cd_low), _mm512_maskz_unpackhi_epi64(0xFF, ab_low, cd_low),
               _mm512_maskz_unpacklo_epi64(0xFF, ab_high, cd_high),
               _mm512_maskz_unpackhi_epi64(0xFF, ab_high, cd_high) } };
}

inline short half_of(const char * from) {
    short bits;
    std::memcpy(&bits, from, sizeof bits);
    return bits;
}

// A float16 of every row.
OMNI_VNNI_PART __m512 halves_at(const Rows & r) {
    const __m256i bits =
        _mm256_setr_epi16(half_of(r.row(0)), half_of(r.row(1)), half_of(r.row(2)), half_of(r.row(3)), half_of(r.row(4)),
                          half_of(r.row(5)), half_of(r.row(6)), half_of(r.row(7)), half_of(r.row(8)), half_of(r.row(9)),
                          half_of(r.row(10)), half_of(r.row(11)), half_of(r.row(12)), half_of(r.row(13)),
                          half_of(r.row(14)), half_of(r.row(15)));
    return _mm512_maskz_cvtph_ps(k_all, bits);
}

// The lower halves of all lanes as float16.
OMNI_VNNI_PART __m512 lower_halves(__m512i lanes) {
    return _mm512_maskz_cvtph_ps(k_all, _mm512_maskz_cvtepi32_epi16(k_all, lanes));
}

OMNI_VNNI_PART __m512i shifted_down(__m512i lanes, int bits) {
    return _mm512_maskz_srli_epi32(k_all, lanes, (unsigned) bits);
}

OMNI_VNNI_PART __m512i shifted_up(__m512i lanes, int bits) {
    return _mm512_maskz_slli_epi32(k_all, lanes, (unsigned) bits);
}

OMNI_VNNI_PART __m512 floats_of(__m512i whole) {
    return _mm512_maskz_cvtepi32_ps(k_all, whole);
}

OMNI_VNNI_PART __m512i low_nibbles(__m512i bytes) {
    return _mm512_and_si512(bytes, _mm512_set1_epi8(15));
}

OMNI_VNNI_PART __m512i high_nibbles(__m512i bytes) {
    return low_nibbles(shifted_down(bytes, 4));
}

// What the 16 codes of the formats iq4 stand for, and 128.
OMNI_VNNI_PART __m512i on_curve(__m512i codes) {
    const __m128i values = _mm_setr_epi8(1, 24, 45, 63, 79, 93, 106, 118, (char) 129, (char) 141, (char) 153,
                                         (char) 166, (char) 181, (char) 197, (char) 217, (char) 241);
    return _mm512_shuffle_epi8(_mm512_maskz_broadcast_i32x4(k_all, values), codes);
}

// --- formats --------------------------------------------------------------------------------------------------------
//
// A block of every row begins at `rows`, and is unpacked into one block of a panel or, where it has 256 weights, into
// eight: first what is for all of it, then one of `parts` after the other.

struct Nothing {};

// What begins with a scale for 32 weights.
struct OneScale {
    static constexpr int64_t block_values = 32;
    static constexpr int     scale_values = 32, parts = 1;

    static OMNI_VNNI_PART Nothing unpack_shared(PanelBlock * to, const Rows & rows) {
        to->scales[0] = halves_at(rows);
        return {};
    }
};

struct Q8_0 : OneScale {
    static constexpr int64_t block_bytes = 34;
    static constexpr int     zero        = 128;

    static OMNI_VNNI_PART void unpack(PanelBlock * to, const Nothing & /*shared*/, const Rows & rows, int /*part*/) {
        const __m512i sign = _mm512_set1_epi8((char) 0x80);
        const Fours   a = transposed(rows.from(2)), b = transposed(rows.from(18));
        for (int i = 0; i < 4; ++i) {
            to->values[i]     = _mm512_xor_si512(a.of[i], sign);
            to->values[4 + i] = _mm512_xor_si512(b.of[i], sign);
        }
    }
};

// Of 32 weights the first 16 have the low halves of 16 bytes, the others the high ones.
OMNI_VNNI_PART void unpack_nibbles(__m512i * values, const Rows & rows, bool curved) {
    const Fours fours = transposed(rows);
    for (int i = 0; i < 4; ++i) {
        const __m512i low = low_nibbles(fours.of[i]), high = high_nibbles(fours.of[i]);
        values[i]     = curved ? on_curve(low) : low;
        values[4 + i] = curved ? on_curve(high) : high;
    }
}

struct Q4_0 : OneScale {
    static constexpr int64_t block_bytes = 18;
    static constexpr int     zero        = 8;

    static OMNI_VNNI_PART void unpack(PanelBlock * to, const Nothing & /*shared*/, const Rows & rows, int /*part*/) {
        unpack_nibbles(to->values, rows.from(2), false);
    }
};

struct Iq4Nl : OneScale {
    static constexpr int64_t block_bytes = 18;
    static constexpr int     zero        = 128;

    static OMNI_VNNI_PART void unpack(PanelBlock * to, const Nothing & /*shared*/, const Rows & rows, int /*part*/) {
        unpack_nibbles(to->values, rows.from(2), true);
    }
};

// Byte i of every lane as a float, times d.
OMNI_VNNI_PART __m512 byte_times(__m512i bytes, int i, __m512 d) {
    return _mm512_mul_ps(floats_of(_mm512_and_si512(shifted_down(bytes, 8 * i), _mm512_set1_epi32(255))), d);
}

// Eight scales and eight least values of 6 bits in 12 bytes, behind what they are multiples of.
OMNI_VNNI_PART void unpack_six_bits(PanelBlock * to, const Rows & rows) {
    const Fours   head  = transposed(rows);
    const __m512i low_6 = _mm512_set1_epi8(0x3f), low_4 = _mm512_set1_epi8(0x0f), two = _mm512_set1_epi8(0x30);
    const __m512i a = head.of[1], b = head.of[2], c = head.of[3];
    const __m512i a_two = _mm512_and_si512(shifted_down(a, 2), two), b_two = _mm512_and_si512(shifted_down(b, 2), two);
    const __m512  d = lower_halves(head.of[0]), m = lower_halves(shifted_down(head.of[0], 16));
    const __m512i scales[] = { _mm512_and_si512(a, low_6), _mm512_or_si512(_mm512_and_si512(c, low_4), a_two) };
    const __m512i least[]  = { _mm512_and_si512(b, low_6),
                               _mm512_or_si512(_mm512_and_si512(shifted_down(c, 4), low_4), b_two) };
    for (int i = 0; i < k_panel_blocks; ++i) {
        to[i].scales[0] = byte_times(scales[i / 4], i % 4, d);
        to[i].least     = byte_times(least[i / 4], i % 4, m);
    }
}

struct Q4K {
    static constexpr int64_t block_values = 256, block_bytes = 144;
    static constexpr int     zero = 0, scale_values = 32, parts = 4;

    static OMNI_VNNI_PART Nothing unpack_shared(PanelBlock * to, const Rows & rows) {
        unpack_six_bits(to, rows);
        return {};
    }

    static OMNI_VNNI_PART void unpack(PanelBlock * to, const Nothing & /*shared*/, const Rows & rows, int part) {
        for (int half = 0; half < 2; ++half) {
            const Fours fours = transposed(rows.from(16 + 32 * part + 16 * half));
            for (int i = 0; i < 4; ++i) {
                to[2 * part].values[4 * half + i]     = low_nibbles(fours.of[i]);
                to[2 * part + 1].values[4 * half + i] = high_nibbles(fours.of[i]);
            }
        }
    }
};

struct Q5K {
    static constexpr int64_t block_values = 256, block_bytes = 176;
    static constexpr int     zero = 0, scale_values = 32, parts = 4;

    // Bit `block` of every byte becomes its fifth.
    static OMNI_VNNI_PART __m512i fifth(__m512i high, int block) {
        const __m512i there = block < 4 ? shifted_up(high, 4 - block) : shifted_down(high, block - 4);
        return _mm512_and_si512(there, _mm512_set1_epi8(16));
    }

    // A bit of every weight.
    struct Shared {
        Fours high[2];
    };

    static OMNI_VNNI_PART Shared unpack_shared(PanelBlock * to, const Rows & rows) {
        unpack_six_bits(to, rows);
        return { { transposed(rows.from(16)), transposed(rows.from(32)) } };
    }

    static OMNI_VNNI_PART void unpack(PanelBlock * to, const Shared & shared, const Rows & rows, int part) {
        for (int half = 0; half < 2; ++half) {
            const Fours fours = transposed(rows.from(48 + 32 * part + 16 * half));
            for (int i = 0; i < 4; ++i) {
                const __m512i high                = shared.high[half].of[i];
                to[2 * part].values[4 * half + i] = _mm512_or_si512(low_nibbles(fours.of[i]), fifth(high, 2 * part));
                to[2 * part + 1].values[4 * half + i] =
                    _mm512_or_si512(high_nibbles(fours.of[i]), fifth(high, 2 * part + 1));
            }
        }
    }
};

struct Q6K {
    static constexpr int64_t block_values = 256, block_bytes = 210;
    static constexpr int     zero = 32, scale_values = 16, parts = 2;

    // Bits 2 * `quarter` and the one behind it of every byte become its fifth and sixth.
    static OMNI_VNNI_PART __m512i upper(__m512i high, int quarter) {
        const __m512i there = quarter < 2 ? shifted_up(high, 4 - 2 * quarter) : shifted_down(high, 2 * quarter - 4);
        return _mm512_and_si512(there, _mm512_set1_epi8(0x30));
    }

    static OMNI_VNNI_PART Nothing unpack_shared(PanelBlock * to, const Rows & rows) {
        const Fours  scales = transposed(rows.from(192));
        const __m512 d      = halves_at(rows.from(208));
        for (int i = 0; i < 16; ++i) {
            const __m512i whole     = _mm512_maskz_srai_epi32(k_all, shifted_up(scales.of[i / 4], 24 - i % 4 * 8), 24);
            to[i / 2].scales[i % 2] = _mm512_mul_ps(floats_of(whole), d);
        }
        return {};
    }

    // Of each 128 weights the first 64 have the low halves of 64 bytes, the others the high ones; two bits more of each
    // lie in 32 bytes, those of the first 32 weights lowest.
    static OMNI_VNNI_PART void unpack(PanelBlock * to, const Nothing & /*shared*/, const Rows & rows, int part) {
        PanelBlock * quarters = to + 4 * part;
        for (int at = 0; at < 2; ++at) {
            const Rows  low = rows.from(64 * part + 16 * at);
            const Fours a = transposed(low), b = transposed(low.from(32));
            const Fours two = transposed(rows.from(128 + 32 * part + 16 * at));
            for (int i = 0; i < 4; ++i) {
                const int to_four           = 4 * at + i;
                quarters[0].values[to_four] = _mm512_or_si512(low_nibbles(a.of[i]), upper(two.of[i], 0));
                quarters[1].values[to_four] = _mm512_or_si512(low_nibbles(b.of[i]), upper(two.of[i], 1));
                quarters[2].values[to_four] = _mm512_or_si512(high_nibbles(a.of[i]), upper(two.of[i], 2));
                quarters[3].values[to_four] = _mm512_or_si512(high_nibbles(b.of[i]), upper(two.of[i], 3));
            }
        }
    }
};

struct Iq4Xs {
    static constexpr int64_t block_values = 256, block_bytes = 136;
    static constexpr int     zero = 128, scale_values = 32, parts = 8;

    // Of each scale four bits lie in the second four bytes and two in the 2 before them.
    static OMNI_VNNI_PART Nothing unpack_shared(PanelBlock * to, const Rows & rows) {
        const Fours   head = transposed(rows);
        const __m512  d    = lower_halves(head.of[0]);
        const __m512i low = head.of[1], high = shifted_down(head.of[0], 16);
        for (int i = 0; i < k_panel_blocks; ++i) {
            const __m512i four = _mm512_and_si512(shifted_down(low, 4 * i), _mm512_set1_epi32(15));
            const __m512i two  = _mm512_and_si512(shifted_down(high, 2 * i), _mm512_set1_epi32(3));
            const __m512i both = _mm512_or_si512(four, shifted_up(two, 4));
            to[i].scales[0]    = _mm512_mul_ps(floats_of(_mm512_sub_epi32(both, _mm512_set1_epi32(32))), d);
        }
        return {};
    }

    static OMNI_VNNI_PART void unpack(PanelBlock * to, const Nothing & /*shared*/, const Rows & rows, int part) {
        unpack_nibbles(to[part].values, rows.from(8 + 16 * part), true);
    }
};

}  // namespace omni

#endif

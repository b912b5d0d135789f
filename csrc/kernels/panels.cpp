#include "kernels/panels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace omni {

namespace {

constexpr int64_t k_rows = 16;

void transpose_some(const uint32_t * const * rows, int64_t begin, int64_t end, uint32_t * panel) {
    for (int64_t i = begin; i < end; ++i) {
        for (int64_t r = 0; r < k_rows; ++r) {
            panel[i * k_rows + r] = rows[r][i];
        }
    }
}

#if defined(__x86_64__)

#define OMNI_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl")))

// GCC's plain forms of these warn of the value that they leave undefined.
constexpr __mmask16 k_all   = 0xFFFF;
constexpr __mmask8  k_all_8 = 0xFF;

// 16 words of 16 rows. Rows trade words with the row 1, 2, 4 and 8 further on.
OMNI_AVX512 void transpose_block(const uint32_t * const * rows, int64_t at, uint32_t * panel) {
    __m512i a[16], b[16];
    for (int r = 0; r < 16; ++r) {
        a[r] = _mm512_loadu_si512(rows[r] + at);
    }
    for (int r = 0; r < 16; r += 2) {
        b[r]     = _mm512_maskz_unpacklo_epi32(k_all, a[r], a[r + 1]);
        b[r + 1] = _mm512_maskz_unpackhi_epi32(k_all, a[r], a[r + 1]);
    }
    for (int r = 0; r < 16; r += 4) {
        a[r]     = _mm512_maskz_unpacklo_epi64(k_all_8, b[r], b[r + 2]);
        a[r + 1] = _mm512_maskz_unpackhi_epi64(k_all_8, b[r], b[r + 2]);
        a[r + 2] = _mm512_maskz_unpacklo_epi64(k_all_8, b[r + 1], b[r + 3]);
        a[r + 3] = _mm512_maskz_unpackhi_epi64(k_all_8, b[r + 1], b[r + 3]);
    }
    // a[4 q + j], lane l: word 4 l + j of rows 4 q to 4 q + 3.
    for (int j = 0; j < 4; ++j) {
        const __m512i low_even  = _mm512_maskz_shuffle_i32x4(k_all, a[j], a[4 + j], 0x88);
        const __m512i low_odd   = _mm512_maskz_shuffle_i32x4(k_all, a[j], a[4 + j], 0xdd);
        const __m512i high_even = _mm512_maskz_shuffle_i32x4(k_all, a[8 + j], a[12 + j], 0x88);
        const __m512i high_odd  = _mm512_maskz_shuffle_i32x4(k_all, a[8 + j], a[12 + j], 0xdd);
        b[j]                    = _mm512_maskz_shuffle_i32x4(k_all, low_even, high_even, 0x88);
        b[8 + j]                = _mm512_maskz_shuffle_i32x4(k_all, low_even, high_even, 0xdd);
        b[4 + j]                = _mm512_maskz_shuffle_i32x4(k_all, low_odd, high_odd, 0x88);
        b[12 + j]               = _mm512_maskz_shuffle_i32x4(k_all, low_odd, high_odd, 0xdd);
    }
    for (int i = 0; i < 16; ++i) {
        _mm512_storeu_si512(panel + (at + i) * k_rows, b[i]);
    }
}

OMNI_AVX512 void transpose_avx512(const uint32_t * const * rows, int64_t n, uint32_t * panel) {
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        transpose_block(rows, i, panel);
    }
    transpose_some(rows, i, n, panel);
}

#endif

}  // namespace

void transpose_panel(const uint32_t * const * rows, int64_t n, uint32_t * panel, Simd simd) {
#if defined(__x86_64__)
    if (simd == Simd::avx512) {
        transpose_avx512(rows, n, panel);
        return;
    }
#endif
    (void) simd;
    transpose_some(rows, 0, n, panel);
}

}  // namespace omni

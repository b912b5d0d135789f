#include "kernels/bf16.h"

#include "kernels/block_product.h"
#include "kernels/cpu_features.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace omni {

namespace {

#if defined(__x86_64__)

#define OMNI_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16,f16c,fma")))

constexpr __mmask16 k_all = 0xFFFF;

OMNI_AVX512 inline void store_16(uint16_t * y, __m512 values) {
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(y), (__m256i) _mm512_cvtneps_pbh(values));
}

OMNI_AVX512 int64_t f32_avx512(const float * x, uint16_t * y, int64_t n) {
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        store_16(y + i, _mm512_loadu_ps(x + i));
    }
    return i;
}

OMNI_AVX512 int64_t f16_avx512(const uint16_t * x, uint16_t * y, int64_t n) {
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(x + i));
        store_16(y + i, _mm512_maskz_cvtph_ps(k_all, half));
    }
    return i;
}

OMNI_AVX512 int64_t q8_0_avx512(const char * x, uint16_t * y, int64_t n) {
    for (int64_t i = 0; i < n; i += k_q8_block, x += k_q8_block_bytes) {
        uint16_t scale;
        std::memcpy(&scale, x, sizeof(scale));
        const __m512 d = _mm512_set1_ps(_cvtsh_ss(scale));
        for (int64_t j = 0; j < k_q8_block; j += 16) {
            const __m128i q     = _mm_loadu_si128(reinterpret_cast<const __m128i *>(x + sizeof(scale) + j));
            const __m512i whole = _mm512_maskz_cvtepi8_epi32(k_all, q);
            store_16(y + i + j, _mm512_mul_ps(_mm512_maskz_cvtepi32_ps(k_all, whole), d));
        }
    }
    return n;
}

#else

int64_t f32_avx512(const float *, uint16_t *, int64_t) {
    return 0;
}

int64_t f16_avx512(const uint16_t *, uint16_t *, int64_t) {
    return 0;
}

int64_t q8_0_avx512(const char *, uint16_t *, int64_t) {
    return 0;
}

#endif

bool fast() {
    return best_bf16() != Bf16::none;
}

}  // namespace

void bf16_from_f32(const float * x, uint16_t * y, int64_t n) {
    for (int64_t i = fast() ? f32_avx512(x, y, n) : 0; i < n; ++i) {
        y[i] = bf16_of(x[i]);
    }
}

void bf16_from_f16(const uint16_t * x, uint16_t * y, int64_t n) {
    for (int64_t i = fast() ? f16_avx512(x, y, n) : 0; i < n; ++i) {
        y[i] = bf16_of(float_of_f16(x[i]));
    }
}

void bf16_from_q8_0(const char * x, uint16_t * y, int64_t n) {
    for (int64_t i = fast() ? q8_0_avx512(x, y, n) : 0; i < n; ++i) {
        const char * block = x + i / k_q8_block * k_q8_block_bytes;
        uint16_t     scale;
        std::memcpy(&scale, block, sizeof(scale));
        y[i] = bf16_of(float_of_f16(scale) * (float) (int8_t) block[sizeof(scale) + (size_t) (i % k_q8_block)]);
    }
}

}  // namespace omni

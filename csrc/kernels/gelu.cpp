#include "kernels/gelu.h"

#include <cmath>

#include "kernels/bf16.h"
#include "kernels/exponential.h"
#include "kernels/independent.h"

#define OMNI_INLINE static inline __attribute__((always_inline))

namespace omni {

namespace {

constexpr float k_inverse_sqrt_2 = 0.70710678118654752440f;

// erf(z) = 1 - (a1 t + .. + a5 t^5) exp(-z^2), t = 1 / (1 + p z), for z >= 0, to 1.5e-7 (Abramowitz and Stegun, 1964,
// 7.1.26).
constexpr float k_p  = 0.3275911f;
constexpr float k_a1 = 0.254829592f;
constexpr float k_a2 = -0.284496736f;
constexpr float k_a3 = 1.421413741f;
constexpr float k_a4 = -1.453152027f;
constexpr float k_a5 = 1.061405429f;

OMNI_INLINE float gelu(float x) {
    const float z    = std::fabs(x) * k_inverse_sqrt_2;
    const float t    = 1.0f / (1.0f + k_p * z);
    const float sum  = ((((k_a5 * t + k_a4) * t + k_a3) * t + k_a2) * t + k_a1) * t;
    const float rest = sum * exponential_of_negative(-z * z);  // 1 - erf(z)
    // x / 2 * (1 + erf) without the difference of near numbers that a negative x would have.
    return 0.5f * x * (x < 0.0f ? rest : 2.0f - rest);
}

OMNI_INLINE void put(float * y, float value) {
    *y = value;
}

OMNI_INLINE void put(uint16_t * y, float value) {
    *y = bf16_of(value);
}

template <typename T> OMNI_INLINE void gelu_values(const float * x, T * y, int64_t n) {
    OMNI_INDEPENDENT
    for (int64_t i = 0; i < n; ++i) {
        put(y + i, gelu(x[i]));
    }
}

#if defined(__x86_64__)

template <typename T>
__attribute__((target("avx512f,avx512bw,avx512vl,fma"))) void gelu_avx512(const float * x, T * y, int64_t n) {
    gelu_values(x, y, n);
}

template <typename T> __attribute__((target("avx2,fma"))) void gelu_avx2(const float * x, T * y, int64_t n) {
    gelu_values(x, y, n);
}

#endif

template <typename T> void gelu_by(const float * x, T * y, int64_t n, Simd simd) {
#if defined(__x86_64__)
    if (simd == Simd::avx512) {
        gelu_avx512(x, y, n);
        return;
    }
    if (simd == Simd::avx2) {
        gelu_avx2(x, y, n);
        return;
    }
#endif
    (void) simd;
    gelu_values(x, y, n);
}

}  // namespace

void gelu_f32(const float * x, float * y, int64_t n, Simd simd) {
    gelu_by(x, y, n, simd);
}

void gelu_bf16(const float * x, uint16_t * y, int64_t n, Simd simd) {
    gelu_by(x, y, n, simd);
}

}  // namespace omni

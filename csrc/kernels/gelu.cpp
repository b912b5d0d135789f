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

struct Exact {
    OMNI_INLINE float of(float x) {
        const float z    = std::fabs(x) * k_inverse_sqrt_2;
        const float t    = 1.0f / (1.0f + k_p * z);
        const float sum  = ((((k_a5 * t + k_a4) * t + k_a3) * t + k_a2) * t + k_a1) * t;
        const float rest = sum * exponential_of_negative(-z * z);  // 1 - erf(z)
        // x / 2 * (1 + erf) without the difference of near numbers that a negative x would have.
        return 0.5f * x * (x < 0.0f ? rest : 2.0f - rest);
    }
};

// x * sigmoid(2 * the argument of tanh), which is the same.
struct ByTanh {
    OMNI_INLINE float of(float x) {
        constexpr float k_slope = 2.0f * 0.79788456080286535588f;  // 2 * sqrt(2 / pi)
        const float     s       = x * (k_slope + k_slope * 0.044715f * (x * x));
        const float     below   = exponential_of_negative(-std::fabs(s));
        return x * ((s < 0.0f ? below : 1.0f) / (1.0f + below));
    }
};

OMNI_INLINE void put(float * y, float value) {
    *y = value;
}

OMNI_INLINE void put(uint16_t * y, float value) {
    *y = bf16_of(value);
}

template <typename Form, typename T> OMNI_INLINE void values(const float * x, T * y, int64_t n) {
    OMNI_INDEPENDENT
    for (int64_t i = 0; i < n; ++i) {
        put(y + i, Form::of(x[i]));
    }
}

#if defined(__x86_64__)

template <typename Form, typename T>
__attribute__((target("avx512f,avx512bw,avx512vl,fma"))) void values_avx512(const float * x, T * y, int64_t n) {
    values<Form>(x, y, n);
}

template <typename Form, typename T>
__attribute__((target("avx2,fma"))) void values_avx2(const float * x, T * y, int64_t n) {
    values<Form>(x, y, n);
}

#endif

template <typename Form, typename T> void values_by(const float * x, T * y, int64_t n, Simd simd) {
#if defined(__x86_64__)
    if (simd == Simd::avx512) {
        values_avx512<Form>(x, y, n);
        return;
    }
    if (simd == Simd::avx2) {
        values_avx2<Form>(x, y, n);
        return;
    }
#endif
    (void) simd;
    values<Form>(x, y, n);
}

}  // namespace

void gelu_f32(const float * x, float * y, int64_t n, Simd simd) {
    values_by<Exact>(x, y, n, simd);
}

void gelu_tanh_f32(const float * x, float * y, int64_t n, Simd simd) {
    values_by<ByTanh>(x, y, n, simd);
}

void gelu_bf16(const float * x, uint16_t * y, int64_t n, Simd simd) {
    values_by<Exact>(x, y, n, simd);
}

void gelu_tanh_bf16(const float * x, uint16_t * y, int64_t n, Simd simd) {
    values_by<ByTanh>(x, y, n, simd);
}

}  // namespace omni

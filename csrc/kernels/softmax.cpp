#include "kernels/softmax.h"

#include "kernels/exponential.h"

#define OMNI_INLINE static inline __attribute__((always_inline))

namespace omni {

namespace {

constexpr int64_t k_lanes = 16;  // sums side by side

OMNI_INLINE float largest_of(const float * x, int64_t n) {
    float lanes[k_lanes];
    for (int64_t lane = 0; lane < k_lanes; ++lane) {
        lanes[lane] = x[lane < n ? lane : 0];
    }
    int64_t i = 0;
    for (; i + k_lanes <= n; i += k_lanes) {
        for (int64_t lane = 0; lane < k_lanes; ++lane) {
            lanes[lane] = x[i + lane] > lanes[lane] ? x[i + lane] : lanes[lane];
        }
    }
    float largest = lanes[0];
    for (int64_t lane = 1; lane < k_lanes; ++lane) {
        largest = lanes[lane] > largest ? lanes[lane] : largest;
    }
    for (; i < n; ++i) {
        largest = x[i] > largest ? x[i] : largest;
    }
    return largest;
}

OMNI_INLINE void softmax_row(float * x, int64_t n, float scale) {
    const float largest = largest_of(x, n);
    float       lanes[k_lanes]{};
    int64_t     i = 0;
    for (; i + k_lanes <= n; i += k_lanes) {
        for (int64_t lane = 0; lane < k_lanes; ++lane) {
            x[i + lane] = exponential_of_negative((x[i + lane] - largest) * scale);
            lanes[lane] += x[i + lane];
        }
    }
    float sum = 0;
    for (; i < n; ++i) {
        x[i] = exponential_of_negative((x[i] - largest) * scale);
        sum += x[i];
    }
    for (int64_t lane = 0; lane < k_lanes; ++lane) {
        sum += lanes[lane];
    }
    const float by = 1.0f / sum;
    for (i = 0; i < n; ++i) {
        x[i] *= by;
    }
}

#if defined(__x86_64__)

__attribute__((target("avx512f,avx512bw,avx512vl,fma"))) void softmax_avx512(float * x, int64_t n, float scale) {
    softmax_row(x, n, scale);
}

__attribute__((target("avx2,fma"))) void softmax_avx2(float * x, int64_t n, float scale) {
    softmax_row(x, n, scale);
}

#endif

}  // namespace

void softmax(float * x, int64_t n, float scale, Simd simd) {
#if defined(__x86_64__)
    if (simd == Simd::avx512) {
        softmax_avx512(x, n, scale);
        return;
    }
    if (simd == Simd::avx2) {
        softmax_avx2(x, n, scale);
        return;
    }
#endif
    (void) simd;
    softmax_row(x, n, scale);
}

}  // namespace omni

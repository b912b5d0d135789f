#include "kernels/snake.h"

#include <cmath>
#include <cstring>

#include "kernels/independent.h"

#define OMNI_INLINE static inline __attribute__((always_inline))

namespace omni {

namespace {

// pi in three parts, the first two short enough that small multiples of them are exact (Cody and Waite, 1980).
constexpr float k_pi_1       = 3.140625f;
constexpr float k_pi_2       = 9.67502593994140625e-4f;
constexpr float k_pi_3       = 1.509957990978376432e-7f;
constexpr float k_inverse_pi = 0.318309886183790671538f;
constexpr float k_largest    = 8192.0f;      // up to here the reduction keeps float accuracy
constexpr float k_round      = 12582912.0f;  // adding and subtracting 1.5 x 2^23 rounds to an integer

// sin(r) = r + r^3 p(r^2) on [-pi/2, pi/2], minimax coefficients (Shibata and Petrogalli, SLEEF, 2020).
constexpr float k_c3 = -0.166666597127914428710938f;
constexpr float k_c5 = 0.00833307858556509017944336f;
constexpr float k_c7 = -0.0001981069071916863322258f;
constexpr float k_c9 = 2.6083159809786593541503e-06f;

// sin(a)^2. The sign of the sine doesn't matter, so neither does the parity of the multiple of pi.
OMNI_INLINE float sine_squared(float a) {
    const float n    = (a * k_inverse_pi + k_round) - k_round;
    const float r    = ((a - n * k_pi_1) - n * k_pi_2) - n * k_pi_3;
    const float s    = r * r;
    const float p    = ((k_c9 * s + k_c7) * s + k_c5) * s + k_c3;
    const float sine = s * (p * r) + r;
    return sine * sine;
}

OMNI_INLINE float largest_argument(const SnakeJob & job, const float * x) {
    float largest = 0;
    for (int64_t c = 0; c < job.channels; ++c) {
        const float a = std::fabs(x[c] * job.frequency[c]);
        largest       = a > largest ? a : largest;
    }
    return largest;
}

OMNI_INLINE uint16_t to_bf16(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    return (uint16_t) ((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

OMNI_INLINE void put(float * y, float value) {
    *y = value;
}

OMNI_INLINE void put(uint16_t * y, float value) {
    // Rounding would turn some NaN into infinity; either is reported, so it may.
    *y = to_bf16(value);
}

template <typename T> OMNI_INLINE void snake_rows(const SnakeJob & job, T * y) {
    const float * frequency = job.frequency;
    const float * magnitude = job.magnitude;
    for (int64_t row = 0; row < job.rows; ++row) {
        const float * x = job.x + row * job.channels;
        T *           z = y + row * job.channels;
        if (largest_argument(job, x) <= k_largest) {
            OMNI_INDEPENDENT
            for (int64_t c = 0; c < job.channels; ++c) {
                put(z + c, x[c] + magnitude[c] * sine_squared(x[c] * frequency[c]));
            }
        } else {
            for (int64_t c = 0; c < job.channels; ++c) {
                const float sine = std::sin(x[c] * frequency[c]);
                put(z + c, x[c] + magnitude[c] * (sine * sine));
            }
        }
    }
}

#if defined(__x86_64__)

template <typename T>
__attribute__((target("avx512f,avx512bw,avx512vl,fma"))) void snake_avx512(const SnakeJob & job, T * y) {
    snake_rows(job, y);
}

template <typename T> __attribute__((target("avx2,fma"))) void snake_avx2(const SnakeJob & job, T * y) {
    snake_rows(job, y);
}

#endif

template <typename T> void snake(const SnakeJob & job, T * y, Simd simd) {
#if defined(__x86_64__)
    if (simd == Simd::avx512) {
        snake_avx512(job, y);
        return;
    }
    if (simd == Simd::avx2) {
        snake_avx2(job, y);
        return;
    }
#endif
    (void) simd;
    snake_rows(job, y);
}

}  // namespace

void snake_f32(const SnakeJob & job, float * y, Simd simd) {
    snake(job, y, simd);
}

void snake_bf16(const SnakeJob & job, uint16_t * y, Simd simd) {
    snake(job, y, simd);
}

}  // namespace omni

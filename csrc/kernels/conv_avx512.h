// What the convolutions with AVX-512 share: a panel of 16 outputs, and storing one row of it.
#pragma once

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>

#include "kernels/conv.h"

#define OMNI_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,fma")))

namespace omni {

template <typename T> struct ConvPanel {
    const T * weight;
    __m512    bias;
    __mmask16 mask;   // outputs that exist
    int64_t   first;  // output
};

template <typename T> OMNI_AVX512 ConvPanel<T> conv_panel(const ConvJob & job, int64_t index) {
    const int64_t     first              = index * k_conv_panel;
    const int64_t     width              = std::min(k_conv_panel, job.out - first);
    alignas(64) float bias[k_conv_panel] = {};
    for (int64_t lane = 0; job.bias != nullptr && lane < width; ++lane) {
        bias[lane] = job.bias[(first + lane) % job.bias_period];
    }
    const auto * weight = static_cast<const T *>(job.weight) + index * job.taps * job.in * k_conv_panel;
    return { weight, _mm512_load_ps(bias), (__mmask16) ((1u << width) - 1), first };
}

// Fetches what comes soon after `weight`; an address behind the last panel is none that anything is read from.
OMNI_AVX512 inline void fetch_ahead(const void * weight) {
    _mm_prefetch(static_cast<const char *>(weight) + k_fetched_ahead, _MM_HINT_T0);
}

// sum + bias + residual.
template <typename T>
OMNI_AVX512 inline void store_row(const ConvJob & job, const ConvPanel<T> & panel, int64_t row, __m512 sum) {
    const int64_t at = row * job.y_row + panel.first;
    sum              = _mm512_add_ps(sum, panel.bias);
    if (job.residual != nullptr) {
        sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(panel.mask, job.residual + at));
    }
    _mm512_mask_storeu_ps(job.y + at, panel.mask, sum);
}

}  // namespace omni

#endif

#include "kernels/cpu_features.h"

#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace omni {

#if defined(__x86_64__)

Simd best_simd() {
    static const Simd best = [] {
        __builtin_cpu_init();
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
            __builtin_cpu_supports("avx512vl")) {
            return Simd::avx512;
        }
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? Simd::avx2 : Simd::generic;
    }();
    return best;
}

#else

Simd best_simd() {
    return Simd::generic;
}

#endif

#if defined(__x86_64__)

namespace {

// Tile registers are large, so Linux gives them only to processes that ask.
bool tiles_permitted() {
#if defined(__linux__)
    constexpr long k_request_permission = 0x1023;
    constexpr long k_tile_data          = 18;
    return syscall(SYS_arch_prctl, k_request_permission, k_tile_data) == 0;
#else
    return false;
#endif
}

bool cpu_has_amx_bf16() {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) {
        return false;
    }
    constexpr unsigned k_amx_bf16 = 1u << 22;
    constexpr unsigned k_amx_tile = 1u << 24;
    return (edx & k_amx_bf16) != 0 && (edx & k_amx_tile) != 0;
}

bool cpu_has_avx512_bf16() {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax & (1u << 5)) != 0;
}

}  // namespace

Bf16 best_bf16() {
    static const Bf16 best = [] {
        if (best_simd() != Simd::avx512) {
            return Bf16::none;
        }
        if (cpu_has_amx_bf16() && tiles_permitted()) {
            return Bf16::amx;
        }
        return cpu_has_avx512_bf16() ? Bf16::avx512 : Bf16::none;
    }();
    return best;
}

#else

Bf16 best_bf16() {
    return Bf16::none;
}

#endif

}  // namespace omni

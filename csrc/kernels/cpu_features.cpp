#include "kernels/cpu_features.h"

#include "kernels/needed_instructions.h"

#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace omni {

#if defined(__x86_64__)

namespace {

// Not __builtin_cpu_supports: what stands behind it depends on the compiler's library, and some say no to everything.
template <typename... Names> bool cpu_has(Names... names) {
    const char * const all[] = { names..., nullptr };
    return missing_instructions(all).empty();
}

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

Bf16 find_bf16() {
    if (best_simd() != Simd::avx512) {
        return Bf16::none;
    }
    if (cpu_has("amx-tile", "amx-bf16") && tiles_permitted()) {
        return Bf16::amx;
    }
    return cpu_has("avx512bf16") ? Bf16::avx512 : Bf16::none;
}

}  // namespace

Simd best_simd() {
    static const Simd best = cpu_has("avx512f", "avx512bw", "avx512vl", "fma") ? Simd::avx512
                             : cpu_has("avx2", "fma", "f16c")                  ? Simd::avx2
                                                                               : Simd::generic;
    return best;
}

Bf16 best_bf16() {
    static const Bf16 best = find_bf16();
    return best;
}

bool has_vnni() {
    static const bool has = best_simd() == Simd::avx512 && cpu_has("avx512dq", "avx512vnni", "f16c");
    return has;
}

#else

Simd best_simd() {
    return Simd::generic;
}

Bf16 best_bf16() {
    return Bf16::none;
}

bool has_vnni() {
    return false;
}

#endif

}  // namespace omni

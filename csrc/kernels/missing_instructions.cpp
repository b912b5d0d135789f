#include <cstring>

#include "kernels/needed_instructions.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace omni {

namespace {

#if defined(__x86_64__)

enum Register { k_eax, k_ebx, k_ecx, k_edx };

// What the operating system has to save for an instruction set, as bits of XCR0.
constexpr unsigned k_nothing = 0, k_ymm = 0x6, k_zmm = 0xe6, k_tiles = 0x60000;

struct Instructions {
    const char * name;
    unsigned     leaf, subleaf;
    Register     where;
    int          bit;
    unsigned     saved;
};

constexpr Instructions k_known[] = {
    { "sse4.2", 1, 0, k_ecx, 20, k_nothing },
    { "movbe", 1, 0, k_ecx, 22, k_nothing },
    { "popcnt", 1, 0, k_ecx, 23, k_nothing },
    { "fma", 1, 0, k_ecx, 12, k_ymm },
    { "avx", 1, 0, k_ecx, 28, k_ymm },
    { "f16c", 1, 0, k_ecx, 29, k_ymm },
    { "bmi", 7, 0, k_ebx, 3, k_nothing },
    { "avx2", 7, 0, k_ebx, 5, k_ymm },
    { "bmi2", 7, 0, k_ebx, 8, k_nothing },
    { "avx512f", 7, 0, k_ebx, 16, k_zmm },
    { "avx512dq", 7, 0, k_ebx, 17, k_zmm },
    { "avx512ifma", 7, 0, k_ebx, 21, k_zmm },
    { "avx512cd", 7, 0, k_ebx, 28, k_zmm },
    { "avx512bw", 7, 0, k_ebx, 30, k_zmm },
    { "avx512vl", 7, 0, k_ebx, 31, k_zmm },
    { "avx512vbmi", 7, 0, k_ecx, 1, k_zmm },
    { "avx512vbmi2", 7, 0, k_ecx, 6, k_zmm },
    { "gfni", 7, 0, k_ecx, 8, k_nothing },
    { "avx512vnni", 7, 0, k_ecx, 11, k_zmm },
    { "avx512bitalg", 7, 0, k_ecx, 12, k_zmm },
    { "avx512vpopcntdq", 7, 0, k_ecx, 14, k_zmm },
    { "avx512fp16", 7, 0, k_edx, 23, k_zmm },
    { "amx-bf16", 7, 0, k_edx, 22, k_tiles },
    { "amx-tile", 7, 0, k_edx, 24, k_tiles },
    { "amx-int8", 7, 0, k_edx, 25, k_tiles },
    { "avxvnni", 7, 1, k_eax, 4, k_ymm },
    { "avx512bf16", 7, 1, k_eax, 5, k_zmm },
    { "lzcnt", 0x80000001, 0, k_ecx, 5, k_nothing },
};

// The state that the operating system saves, 0 where it doesn't say.
unsigned saved_state() {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0 || (ecx & (1u << 27)) == 0) {
        return 0;
    }
    unsigned low = 0, high = 0;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

bool cpu_has(const Instructions & set) {
    unsigned r[4] = {};
    if (__get_cpuid_count(set.leaf, set.subleaf, &r[k_eax], &r[k_ebx], &r[k_ecx], &r[k_edx]) == 0) {
        return false;
    }
    return (r[set.where] >> set.bit & 1u) != 0 && (saved_state() & set.saved) == set.saved;
}

#else

struct Instructions {
    const char *  name;
    int           word;  // of the hardware capabilities: 1 or 2
    unsigned long mask;
};

constexpr Instructions k_known[] = {
    { "asimdhp", 1, 1ul << 10 }, { "asimddp", 1, 1ul << 20 }, { "sve", 1, 1ul << 22 },
    { "sve2", 2, 1ul << 1 },     { "i8mm", 2, 1ul << 13 },    { "bf16", 2, 1ul << 14 },
};

bool cpu_has(const Instructions & set) {
#if defined(__aarch64__) && defined(__linux__)
    return (getauxval(set.word == 1 ? AT_HWCAP : AT_HWCAP2) & set.mask) != 0;
#else
    (void) set;
    return true;
#endif
}

#endif

}  // namespace

std::vector<std::string> missing_instructions(const char * const * names) {
    std::vector<std::string> missing;
    for (; *names != nullptr; ++names) {
        for (const Instructions & set : k_known) {
            if (std::strcmp(set.name, *names) == 0 && !cpu_has(set)) {
                missing.emplace_back(*names);
            }
        }
    }
    return missing;
}

// What OMNIGGML_PORTABLE asks for; none of these names is an arm64 CPU's.
constexpr const char * k_portable[] = { "avx", "avx2", "fma", "f16c", "bmi2", nullptr };

std::string refusal() {
    std::string names;
    for (const std::string & name : missing_instructions(k_needed_instructions)) {
        names += (names.empty() ? "" : ", ") + name;
    }
    if (names.empty()) {
        return "";
    }
    const std::string what = "this build of omniggml needs instructions that this CPU does not have (" + names + "): ";
    if (!missing_instructions(k_portable).empty()) {
        return what + "no build runs without AVX2, FMA, F16C and BMI2, which x86-64 CPUs have from 2013 on";
    }
    return what +
           "install it again on this machine with pip install --no-binary omniggml omniggml, or build it for any "
           "x86-64 CPU from 2013 on with -Ccmake.define.OMNIGGML_PORTABLE=ON";
}

}  // namespace omni

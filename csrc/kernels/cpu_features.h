// What this CPU can do, asked once. Kernels are compiled for several instruction sets and chosen at run time.
#pragma once

namespace omni {

enum class Simd { generic, avx2, avx512 };

// The widest instruction set for float arithmetic.
Simd best_simd();

// Products of bfloat16 summed in float: none, AVX-512's, or AMX tiles (which the operating system lets a process use).
enum class Bf16 { none, avx512, amx };

// The fastest of them.
Bf16 best_bf16();

// AVX-512 with its products of 8-bit integers.
bool has_vnni();

}  // namespace omni

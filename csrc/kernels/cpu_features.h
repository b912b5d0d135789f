// What this CPU can do, asked once. Kernels are compiled for several instruction sets and chosen at run time.
#pragma once

namespace omni {

enum class Simd { generic, avx2, avx512 };

// The widest instruction set for float arithmetic.
Simd best_simd();

// AMX with bfloat16 tiles: the CPU has it and the kernel lets this process use it.
bool has_amx_bf16();

}  // namespace omni

// OMNI_INDEPENDENT before a loop whose passes don't meet in memory: compilers ask for it before they do several at
// once.
#pragma once

#if defined(__clang__)
#define OMNI_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define OMNI_INDEPENDENT _Pragma("GCC ivdep")
#endif

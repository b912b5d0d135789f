// Which part of the work each thread takes.
#pragma once

#include <algorithm>
#include <cstdint>

namespace omni {

// [begin, end).
struct Share {
    int64_t begin, end;
};

// The share of part `part` of `parts`, in whole steps: only the last one may end inside a step.
inline Share share_of(int64_t n, int64_t step, int part, int parts) {
    const int64_t steps = (n + step - 1) / step;
    return { std::min(n, steps * part / parts * step), std::min(n, steps * (part + 1) / parts * step) };
}

}  // namespace omni

#include "models/rope_positions.h"

#include <algorithm>
#include <string>

#include "error/error.h"

namespace omni {

std::vector<int32_t> AxisPositions::for_graph(int64_t first, int64_t count) const {
    std::vector<int32_t> out;
    for (const int64_t axis : { 0, 1, 2, 0 }) {
        const auto from = values.begin() + axis * n_tokens() + first;
        out.insert(out.end(), from, from + count);
    }
    return out;
}

int32_t AxisPositions::largest() const {
    return *std::max_element(values.begin(), values.end());
}

void RopeOffset::after(int64_t first, int64_t n, int32_t largest) {
    runs_.push_back({ first, first + n, largest + 1 - (first + n) });
}

void RopeOffset::truncate(int64_t slot) {
    while (!runs_.empty() && runs_.back().first >= slot) {
        runs_.pop_back();
    }
    if (!runs_.empty() && runs_.back().end > slot) {
        throw Error(ErrorKind::input, "can't go back to position " + std::to_string(slot) +
                                          ", in the middle of a run that holds images or videos");
    }
}

}  // namespace omni

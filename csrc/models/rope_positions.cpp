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

void AxisPositions::check(int64_t n) const {
    if ((int64_t) values.size() != 3 * n ||
        std::any_of(values.begin(), values.end(), [](int32_t at) { return at < 0 || at > 1 << 30; })) {
        throw Error(ErrorKind::input,
                    "positions are an array [3, " + std::to_string(n) + "] of numbers from 0 to 2^30");
    }
}

void RopeOffset::after(int64_t first, int64_t n, int32_t largest) {
    largest = runs_.empty() ? largest : std::max(largest, runs_.back().largest);
    runs_.push_back({ first, first + n, largest + 1 - (first + n), largest });
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

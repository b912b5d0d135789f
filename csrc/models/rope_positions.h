// Where tokens stand, apart from where they lie in a cache: after an image the count goes on from its longer side,
// after a video from its last second.
#pragma once

#include <cstdint>
#include <vector>

namespace omni {

// Positions in time, height and width of a run of tokens.
struct AxisPositions {
    std::vector<int32_t> values;  // [3, tokens]

    bool empty() const { return values.empty(); }

    int64_t n_tokens() const { return (int64_t) values.size() / 3; }

    // Of tokens first to last as a graph of three axes reads them, [4, tokens]: ggml's fourth axis stands for the pairs
    // at the end of a head, which belong to time.
    std::vector<int32_t> for_graph(int64_t first, int64_t count) const;

    int32_t largest() const;

    // Throws Error(input) unless there are so many, each from 0 to 2^30.
    void check(int64_t n_tokens) const;
};

// How far positions run ahead of the slots of a cache. Text adds nothing to it.
class RopeOffset {
  public:
    // A run of n tokens from slot `first` on was given positions up to `largest`. Counting goes on from the largest of
    // all runs.
    void after(int64_t first, int64_t n, int32_t largest);

    // Of tokens behind all runs.
    int64_t value() const { return runs_.empty() ? 0 : runs_.back().offset; }

    // Forgets what lies from `slot` on. Throws Error(input) where that is in the middle of a run.
    void truncate(int64_t slot);

  private:
    struct Run {
        int64_t first, end, offset;
        int32_t largest;
    };

    std::vector<Run> runs_;
};

}  // namespace omni

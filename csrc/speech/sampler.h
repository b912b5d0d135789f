// Draws an id from logits.
//
// Order of steps as in the reference's `generate`: repetition penalty, suppressed ids, then, when sampling,
// temperature, top-k, top-p, and one draw. Greedy takes the first of the largest.
#pragma once

#include <cstdint>
#include <vector>

#include "models/sampling.h"

namespace omni {

class Sampler {
  public:
    // Throws Error(input) for parameters that make no sense.
    explicit Sampler(SamplingParams params);

    // `logits`: one row. `previous`: ids already drawn, for the repetition penalty. `uniform`: in [0, 1).
    // Throws Error(input) where there are no logits, or an id has none.
    int32_t draw(std::vector<float> logits, const std::vector<int32_t> & previous, double uniform) const;

    const SamplingParams & params() const { return params_; }

  private:
    static void check(const std::vector<float> & logits, const std::vector<int32_t> & previous);

    void penalise(std::vector<float> & logits, const std::vector<int32_t> & previous) const;

    SamplingParams params_;
};

}  // namespace omni

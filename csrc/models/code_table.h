// The embedding table of one code of a frame. Talker and code predictor both read the codes of both, and neither knows
// the other: each is given the tables.
#pragma once

#include <memory>
#include <vector>

#include "core/weights.h"

namespace omni {

struct CodeTable {
    ggml_tensor *                  rows;     // [hidden, codes]
    std::shared_ptr<const Weights> weights;  // that it is one of

    int64_t n_codes() const { return rows->ne[1]; }
};

// By group, the talker's first.
using CodeTables = std::vector<CodeTable>;

}  // namespace omni

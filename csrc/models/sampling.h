// How the next code or token is drawn. Reference: the logits processors and warpers of `generate`.
#pragma once

#include <cstdint>
#include <string>

#include "gguf/gguf_file.h"

namespace omni {

struct SamplingParams {
    bool    sample             = true;  // false: the most probable
    float   temperature        = 1.0f;
    int64_t top_k              = 0;  // 0: all
    float   top_p              = 1.0f;
    float   repetition_penalty = 1.0f;
};

// The defaults that a file has under `prefix`; `otherwise` where it has none. Throws Error(file) for values that no
// draw can use.
SamplingParams read_sampling(const GgufFile & file, const std::string & prefix, SamplingParams otherwise);

}  // namespace omni

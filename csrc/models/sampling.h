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

// The reference's own, where a file says nothing.
constexpr SamplingParams k_talker_sampling{ true, 0.9f, 50, 1.0f, 1.05f };
constexpr SamplingParams k_predictor_sampling{ true, 1.0f, 50, 0.8f, 1.0f };
constexpr int64_t        k_talker_max_frames = 4096;

// The defaults that a file has under `prefix`; `otherwise` where it has none. Throws Error(file) for values that no
// draw can use.
SamplingParams read_sampling(const GgufFile & file, const std::string & prefix, SamplingParams otherwise);

}  // namespace omni

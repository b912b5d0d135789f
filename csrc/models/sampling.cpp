#include "models/sampling.h"

namespace omni {

SamplingParams read_sampling(const GgufFile & file, const std::string & p, SamplingParams otherwise) {
    SamplingParams s;
    s.sample             = file.boolean_or(p + "do_sample", otherwise.sample);
    s.temperature        = (float) file.real_or(p + "temperature", 1e-6, 1e3, otherwise.temperature);
    s.top_k              = file.integer_or(p + "top_k", 0, 1 << 30, otherwise.top_k);
    s.top_p              = (float) file.real_or(p + "top_p", 1e-6, 1, otherwise.top_p);
    s.repetition_penalty = (float) file.real_or(p + "repetition_penalty", 1e-3, 1e3, otherwise.repetition_penalty);
    return s;
}

}  // namespace omni

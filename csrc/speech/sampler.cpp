#include "speech/sampler.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <set>
#include <string>

#include "error/error.h"

namespace omni {

namespace {

struct Candidate {
    int32_t id;
    double  probability;
};

// Ids among which the `keep` most probable are: one look at a sample of the logits spares most of the sorting.
std::vector<int32_t> likely(const std::vector<float> & logits, size_t keep) {
    constexpr size_t   step = 16;
    std::vector<float> sample;
    for (size_t i = 0; i < logits.size(); i += step) {
        sample.push_back(logits[i]);
    }
    std::vector<int32_t> ids;
    const size_t         rank = 2 * keep / step + 4;  // above it about twice as many as are kept, rarely too few
    if (rank < sample.size()) {
        std::nth_element(sample.begin(), sample.begin() + (std::ptrdiff_t) rank, sample.end(), std::greater<>());
        for (size_t i = 0; i < logits.size(); ++i) {
            if (logits[i] >= sample[rank]) {
                ids.push_back((int32_t) i);
            }
        }
    }
    if (ids.size() < keep || rank >= sample.size()) {
        ids.resize(logits.size());
        std::iota(ids.begin(), ids.end(), 0);
    }
    return ids;
}

// The ids that top-k leaves, most probable first; equal logits keep the order of ids.
std::vector<Candidate> most_probable(const std::vector<float> & logits, const SamplingParams & params) {
    size_t keep = logits.size();
    if (params.top_k > 0) {
        keep = std::min(keep, (size_t) params.top_k);
    }
    std::vector<int32_t> ids    = likely(logits, keep);
    const auto           better = [&](int32_t a, int32_t b) {
        return logits[(size_t) a] != logits[(size_t) b] ? logits[(size_t) a] > logits[(size_t) b] : a < b;
    };
    std::partial_sort(ids.begin(), ids.begin() + (std::ptrdiff_t) keep, ids.end(), better);
    std::vector<Candidate> candidates;
    const double           top   = logits[(size_t) ids[0]];
    double                 total = 0;
    for (size_t i = 0; i < keep; ++i) {
        const double weight = std::exp((logits[(size_t) ids[i]] - top) / (double) params.temperature);
        candidates.push_back({ ids[i], weight });
        total += weight;
    }
    for (auto & candidate : candidates) {
        candidate.probability /= total;
    }
    return candidates;
}

// Keeps the fewest candidates whose probabilities reach top_p; never none.
void cut_to_top_p(std::vector<Candidate> & candidates, double top_p) {
    double sum = 0;
    for (size_t i = 0; i < candidates.size(); ++i) {
        sum += candidates[i].probability;
        if (sum >= top_p) {
            candidates.resize(i + 1);
            break;
        }
    }
}

}  // namespace

Sampler::Sampler(SamplingParams params) : params_(params) {
    const auto refuse = [](const char * name, double value, const char * range) {
        throw Error(ErrorKind::input, std::string(name) + " is " + std::to_string(value) + "; it must be " + range);
    };
    if (!(params.temperature > 0) || !std::isfinite(params.temperature)) {
        refuse("temperature", params.temperature, "above 0 (for the most probable codes turn sampling off)");
    }
    if (params.top_k < 0) {
        refuse("top_k", (double) params.top_k, "0 (all) or more");
    }
    if (!(params.top_p > 0 && params.top_p <= 1)) {
        refuse("top_p", params.top_p, "above 0 and at most 1");
    }
    if (!(params.repetition_penalty > 0) || !std::isfinite(params.repetition_penalty)) {
        refuse("repetition_penalty", params.repetition_penalty, "above 0 (1 is none)");
    }
}

void Sampler::penalise(std::vector<float> & logits, const std::vector<int32_t> & previous) const {
    if (params_.repetition_penalty == 1.0f) {
        return;
    }
    const std::set<int32_t> seen(previous.begin(), previous.end());
    for (int32_t id : seen) {
        float & logit = logits[(size_t) id];
        logit         = logit < 0 ? logit * params_.repetition_penalty : logit / params_.repetition_penalty;
    }
}

void Sampler::check(const std::vector<float> & logits, const std::vector<int32_t> & previous) {
    if (logits.empty()) {
        throw Error(ErrorKind::input, "there are no logits to draw from");
    }
    for (int32_t id : previous) {
        if (id < 0 || (size_t) id >= logits.size()) {
            throw Error(ErrorKind::input, "id " + std::to_string(id) + " has no logit");
        }
    }
}

int32_t Sampler::draw(std::vector<float> logits, const std::vector<int32_t> & previous, double uniform) const {
    check(logits, previous);
    penalise(logits, previous);
    if (!params_.sample) {
        return (int32_t) (std::max_element(logits.begin(), logits.end()) - logits.begin());
    }
    auto candidates = most_probable(logits, params_);
    if (params_.top_p < 1.0f) {
        cut_to_top_p(candidates, params_.top_p);
    }
    double left = 0;
    for (const auto & candidate : candidates) {
        left += candidate.probability;
    }
    double mark = uniform * left;
    for (const auto & candidate : candidates) {
        mark -= candidate.probability;
        if (mark < 0) {
            return candidate.id;
        }
    }
    return candidates.back().id;
}

}  // namespace omni

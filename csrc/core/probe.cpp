#include "core/probe.h"

#include "core/error.h"

namespace omni {

namespace {

bool matches_from(const char * pattern, const char * name) {
    if (*pattern == '\0') {
        return *name == '\0';
    }
    if (*pattern != '*') {
        return *pattern == *name && matches_from(pattern + 1, name + 1);
    }
    const bool   any_character = pattern[1] == '*';
    const char * rest          = pattern + (any_character ? 2 : 1);
    for (;; ++name) {
        if (matches_from(rest, name)) {
            return true;
        }
        if (*name == '\0' || (*name == '.' && !any_character)) {
            return false;
        }
    }
}

std::string shape_text(int64_t batch, int64_t time, int64_t channels) {
    return "[" + std::to_string(batch) + ", " + std::to_string(time) + ", " + std::to_string(channels) + "]";
}

}  // namespace

bool matches(const std::string & pattern, const std::string & name) {
    return matches_from(pattern.c_str(), name.c_str());
}

void Probe::replace(const std::string & name, ProbeChunk values) {
    std::lock_guard<std::mutex> lock(mutex_);
    replacements_[name] = Replacement{ std::move(values), 0 };
}

bool Probe::captures(const std::string & name) const {
    for (const auto & pattern : patterns_) {
        if (matches(pattern, name)) {
            return true;
        }
    }
    return false;
}

bool Probe::replaces(const std::string & name) const {
    std::lock_guard<std::mutex> lock(mutex_);
    return replacements_.count(name) > 0;
}

void Probe::record(const std::string & name, Axes axes, ProbeChunk chunk) {
    std::lock_guard<std::mutex> lock(mutex_);
    ProbeSeries &               series = captured_[name];
    series.axes                        = axes;
    series.chunks.push_back(std::move(chunk));
}

std::vector<float> Probe::next_replacement(const std::string & name, int64_t batch, int64_t time, int64_t channels) {
    std::lock_guard<std::mutex> lock(mutex_);
    Replacement &               entry = replacements_.at(name);
    const ProbeChunk &          have  = entry.chunk;
    if (have.batch != batch || have.channels != channels) {
        throw Error(ErrorKind::input, "the replacement for " + name + " has the shape " +
                                          shape_text(have.batch, have.time, have.channels) +
                                          " as [batch, time, channel], but the module computes " +
                                          shape_text(batch, time, channels));
    }
    if (entry.used + time > have.time) {
        throw Error(ErrorKind::input, "the replacement for " + name + " has " + std::to_string(have.time) +
                                          " positions in time, and more were asked for");
    }
    std::vector<float> out;
    out.reserve((size_t) (batch * time * channels));
    for (int64_t b = 0; b < batch; ++b) {
        const float * from = have.values.data() + (b * have.time + entry.used) * channels;
        out.insert(out.end(), from, from + time * channels);
    }
    entry.used += time;
    return out;
}

std::map<std::string, ProbeSeries> Probe::take() {
    std::lock_guard<std::mutex> lock(mutex_);
    return std::move(captured_);
}

}  // namespace omni

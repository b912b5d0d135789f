#include "core/probe.h"

#include "error/error.h"

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

bool ends_with_input(const std::string & name) {
    static const std::string ending = ".input";
    return name.size() > ending.size() && name.compare(name.size() - ending.size(), ending.size(), ending) == 0;
}

std::string shape_text(const std::vector<int64_t> & shape) {
    std::string text = "[";
    for (size_t i = 0; i < shape.size(); ++i) {
        text += (i > 0 ? ", " : "") + (shape[i] < 0 ? std::string("time") : std::to_string(shape[i]));
    }
    return text + "]";
}

// How the reference orders a module's output, and the strides by which ours is found in it.
struct Layout {
    std::vector<int64_t> shape;  // -1: time
    int64_t              batch_stride, time_stride, channel_stride;
};

Layout layout_of(Axes axes, const ProbeChunk & like, int64_t time) {
    const int64_t c = like.channels;
    switch (axes) {
        case Axes::batch_time_channel: return { { like.batch, -1, c }, time * c, c, 1 };
        case Axes::batch_channel_time: return { { like.batch, c, -1 }, time * c, 1, time };
        case Axes::time_channel: return { { -1, c }, time * c, c, 1 };
        case Axes::batch_time_head_channel: return { { like.batch, -1, like.heads, c / like.heads }, time * c, c, 1 };
        case Axes::group_time_channel: return { { 1, like.batch, -1, c }, time * c, c, 1 };
        case Axes::chunk_time_channel: return { { -1, c / like.columns, like.columns }, time * c, c, 1 };
        case Axes::chunk_channel_mel_time:
            return { { -1, like.heads, c / like.heads / like.columns, like.columns }, time * c, c, 1 };
    }
    return {};
}

// The extent of the time axis if `shape` fits the layout, else -1.
int64_t time_extent(const std::vector<int64_t> & expected, const std::vector<int64_t> & shape) {
    int64_t time = -1;
    if (expected.size() != shape.size()) {
        return -1;
    }
    for (size_t i = 0; i < shape.size(); ++i) {
        if (expected[i] < 0) {
            time = shape[i];
        } else if (expected[i] != shape[i]) {
            return -1;
        }
    }
    return time;
}

}  // namespace

bool matches(const std::string & pattern, const std::string & name) {
    return matches_from(pattern.c_str(), name.c_str());
}

void Probe::replace(const std::string & name, std::vector<int64_t> shape, std::vector<float> values) {
    std::lock_guard<std::mutex> lock(mutex_);
    replacements_[name] = Replacement{ std::move(shape), std::move(values), 0 };
}

// What goes into a product is no module's output: only patterns that say so see it.
bool Probe::wants(const std::string & name) const {
    const bool input = ends_with_input(name);
    for (const auto & pattern : patterns_) {
        if (input == ends_with_input(pattern) && matches(pattern, name)) {
            return true;
        }
    }
    return false;
}

bool Probe::captures(const std::string & name) const {
    return wants(name) || (outer_ && outer_->captures(name));
}

bool Probe::replaces(const std::string & name) const {
    std::lock_guard<std::mutex> lock(mutex_);
    return replacements_.count(name) > 0 || (outer_ && outer_->replaces(name));
}

void Probe::record(const std::string & name, Axes axes, ProbeChunk chunk) {
    if (outer_ && outer_->captures(name)) {
        outer_->record(name, axes, chunk);
    }
    if (!wants(name)) {
        return;
    }
    std::lock_guard<std::mutex> lock(mutex_);
    if (sink_) {
        sink_(name, axes, chunk);
        return;
    }
    ProbeSeries & series = captured_[name];
    series.axes          = axes;
    series.chunks.push_back(std::move(chunk));
}

std::vector<float> Probe::next_replacement(const std::string & name, Axes axes, const ProbeChunk & like) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (replacements_.count(name) == 0 && outer_) {
        return outer_->next_replacement(name, axes, like);
    }
    Replacement & have     = replacements_.at(name);
    const auto    expected = layout_of(axes, like, 0).shape;
    const int64_t time     = time_extent(expected, have.shape);
    if (time < 0) {
        throw Error(ErrorKind::input, "the replacement for " + name + " has the shape " + shape_text(have.shape) +
                                          "; the module computes " + shape_text(expected));
    }
    if (have.used + like.time > time) {
        throw Error(ErrorKind::input, "the replacement for " + name + " has " + std::to_string(time) +
                                          " positions in time, and more were asked for");
    }
    const Layout       layout = layout_of(axes, like, time);
    std::vector<float> out;
    out.reserve((size_t) (like.batch * like.time * like.channels));
    for (int64_t b = 0; b < like.batch; ++b) {
        for (int64_t t = have.used; t < have.used + like.time; ++t) {
            for (int64_t c = 0; c < like.channels; ++c) {
                const int64_t at = b * layout.batch_stride + t * layout.time_stride + c * layout.channel_stride;
                out.push_back(have.values[(size_t) at]);
            }
        }
    }
    have.used += like.time;
    return out;
}

std::vector<std::string> Probe::unused_replacements() const {
    std::lock_guard<std::mutex> lock(mutex_);
    std::vector<std::string>    names;
    for (const auto & entry : replacements_) {
        if (entry.second.used == 0) {
            names.push_back(entry.first);
        }
    }
    return names;
}

std::map<std::string, ProbeSeries> Probe::take() {
    std::lock_guard<std::mutex> lock(mutex_);
    return std::move(captured_);
}

}  // namespace omni

// Probes: capture what a module computes, or put another tensor in its place, by its Hugging Face module path.
//
// A pattern is a module path in which `*` stands for any part between two dots and `**` for any run of characters:
// "talker.model.layers.*.mlp", "code2wav.**". A session asks its probe while it builds a graph; a session without a
// probe builds the same graph without a single extra node or synchronisation.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace omni {

// How the reference orders the axes of a module's output. Ours are always [batch, time, channel].
enum class Axes {
    batch_time_channel,
    batch_channel_time,
    time_channel,             // without batch, as the routers of the reference
    batch_time_head_channel,  // per-head norms
    group_time_channel,       // one row a code group; the reference has a batch axis in front
};

// One run of a module: [batch, time, channel]. With heads, the channels are [heads, channels / heads].
struct ProbeChunk {
    int64_t            batch    = 1;
    int64_t            time     = 0;
    int64_t            channels = 0;
    std::vector<float> values;
    int64_t            heads = 1;
};

struct ProbeSeries {
    Axes                    axes = Axes::batch_time_channel;
    std::vector<ProbeChunk> chunks;  // in the order in which they were computed
};

bool matches(const std::string & pattern, const std::string & name);

class Probe {
  public:
    explicit Probe(std::vector<std::string> patterns) : patterns_(std::move(patterns)) {}

    // From now on the next positions of `values` stand for what module `name` computes. Axes already ours.
    void replace(const std::string & name, ProbeChunk values);

    bool captures(const std::string & name) const;
    bool replaces(const std::string & name) const;

    void record(const std::string & name, Axes axes, ProbeChunk chunk);

    // The next `time` positions of the replacement for `name`. Throws Error(input) when the shape does not fit or the
    // replacement is used up.
    std::vector<float> next_replacement(const std::string & name, int64_t batch, int64_t time, int64_t channels);

    // Moves out what was captured so far.
    std::map<std::string, ProbeSeries> take();

  private:
    struct Replacement {
        ProbeChunk chunk;
        int64_t    used = 0;
    };

    std::vector<std::string>           patterns_;
    mutable std::mutex                 mutex_;
    std::map<std::string, ProbeSeries> captured_;
    std::map<std::string, Replacement> replacements_;
};

}  // namespace omni

// Probes: capture what a module computes, or put another tensor in its place, by its Hugging Face module path.
//
// A pattern is a module path in which `*` stands for any part between two dots and `**` for any run of characters:
// "model.layers.*.mlp", "decoder.**". A session asks its probe while it builds a graph. A session without one has no
// extra node or synchronisation, and a model may compute several modules in one node then.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
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
    chunk_time_channel,       // one run a chunk of audio, joined along chunks
    chunk_channel_mel_time,   // one map a chunk of audio, joined along chunks
};

// One run of a module: [batch, time, channel]. With heads, the channels are [heads, channels / heads].
struct ProbeChunk {
    int64_t            batch    = 1;
    int64_t            time     = 0;
    int64_t            channels = 0;
    std::vector<float> values;
    int64_t            heads = 1;
    int64_t columns          = 1;  // of maps: their fastest axis; `channels` counts all of a map, `heads` its channels
};

struct ProbeSeries {
    Axes                    axes = Axes::batch_time_channel;
    std::vector<ProbeChunk> chunks;  // in the order in which they were computed
};

bool matches(const std::string & pattern, const std::string & name);

class Probe {
  public:
    // What a session delivers to this probe, `outer` gets as well, as far as it asks for it.
    explicit Probe(std::vector<std::string> patterns, std::shared_ptr<Probe> outer = nullptr) :
        patterns_(std::move(patterns)),
        outer_(std::move(outer)) {}

    // From now on the next positions of `values` stand for what module `name` computes. `shape` has the axes of the
    // reference, see Axes.
    void replace(const std::string & name, std::vector<int64_t> shape, std::vector<float> values);

    bool captures(const std::string & name) const;
    bool replaces(const std::string & name) const;

    // From now on what is captured goes to `sink`, in the thread that computes, and is not kept. Before any session has
    // the probe.
    using Sink = std::function<void(const std::string & name, Axes axes, const ProbeChunk & chunk)>;

    void send_to(Sink sink) { sink_ = std::move(sink); }

    void record(const std::string & name, Axes axes, ProbeChunk chunk);

    // The next positions of the replacement for `name`, as many as `like` has, in our order of axes. Throws
    // Error(input) when the shape does not fit `like` or the replacement is used up.
    std::vector<float> next_replacement(const std::string & name, Axes axes, const ProbeChunk & like);

    // Names whose replacement no module has taken so far.
    std::vector<std::string> unused_replacements() const;

    // Moves out what was captured so far.
    std::map<std::string, ProbeSeries> take();

  private:
    struct Replacement {
        std::vector<int64_t> shape;
        std::vector<float>   values;
        int64_t              used = 0;  // positions in time
    };

    bool wants(const std::string & name) const;

    std::vector<std::string>           patterns_;
    std::shared_ptr<Probe>             outer_;
    Sink                               sink_;
    mutable std::mutex                 mutex_;
    std::map<std::string, ProbeSeries> captured_;
    std::map<std::string, Replacement> replacements_;
};

}  // namespace omni

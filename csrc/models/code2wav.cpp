#include "models/code2wav.h"

#include <algorithm>
#include <limits>

#include "core/fastest_conv.h"
#include "core/finite.h"
#include "error/error.h"
#include "models/decoder_session.h"
#include "models/snake.h"

namespace omni {

namespace {

constexpr int64_t k_piece          = 32;  // frames computed at once: bounds memory, and the ring of keys and values
constexpr int64_t k_dilations[]    = { 1, 3, 9 };
constexpr int64_t k_conv_taps      = 7;
constexpr float   k_layer_norm_eps = 1e-6f;
constexpr size_t  k_max_graphs     = 4;
// ggml sums a product with a single column in another order. A lone frame is therefore computed beside a stand-in for
// its successor, whose results are dropped and whose cache slot is written again when the successor comes: so every
// chunk size gives the same bits. (Under a probe the stand-in would show.)
constexpr int64_t k_least_tokens = 2;

// --- hyperparameters ------------------------------------------------------------------------------------------------

Code2WavGeometry read_geometry(const GgufFile & file, const std::string & p) {
    Code2WavGeometry g;
    g.transformer         = read_decoder_geometry(file, p);
    g.window              = file.integer(p + "sliding_window", 1, 1 << 13);
    g.n_groups            = file.integer(p + "num_quantizers", 1, 256);
    g.codebook_size       = file.integer(p + "codebook_size", 1, 1 << 24);
    g.decoder_dim         = file.integer(p + "decoder_dim", 1, 1 << 16);
    g.sample_rate         = file.integer(p + "sample_rate", 1, 1 << 20);
    g.ratios              = file.integers(p + "upsampling_ratios", 1, 64);
    g.rates               = file.integers(p + "upsample_rates", 1, 64);
    const GgufFile & held = file.teller(p + "head_dim");  // code2wav's file, which may be another than the talker's
    check_decoder_geometry(held, "code2wav", g.transformer);
    if (g.rates.empty() || g.rates.size() > 8 || g.ratios.size() > 8) {
        held.fail("has " + std::to_string(g.ratios.size()) + " upsampling ratios and " +
                  std::to_string(g.rates.size()) +
                  " decoder rates; up to 8 of each, and at least one rate, can be run");
    }
    if (g.codebook_size * g.n_groups > std::numeric_limits<int32_t>::max()) {
        held.fail("has " + std::to_string(g.n_groups) + " codebooks of " + std::to_string(g.codebook_size) +
                  " codes, more than 2^31 rows");
    }
    if (g.decoder_dim % (1ll << g.rates.size()) != 0) {
        held.fail("has a decoder of width " + std::to_string(g.decoder_dim) + ", which " +
                  std::to_string(g.rates.size()) + " halvings do not divide");
    }
    if (g.samples_per_frame() > (1 << 16) || g.n_samples(k_piece) == 0) {
        held.fail("makes " + std::to_string(g.samples_per_frame()) + " samples of a frame, which can't be streamed");
    }
    return g;
}

}  // namespace

int64_t Code2WavGeometry::samples_per_frame() const {
    int64_t n = 1;
    for (int64_t factor : ratios) {
        n = std::min<int64_t>(n * factor, 1 << 20);
    }
    for (int64_t rate : rates) {
        n = std::min<int64_t>(n * rate, 1 << 20);
    }
    return n;
}

int64_t Code2WavGeometry::n_samples(int64_t n_frames) const {
    int64_t n = n_frames;
    for (int64_t factor : ratios) {
        n *= factor;
    }
    for (int64_t rate : rates) {
        n = std::max<int64_t>(0, n * rate - rate);
    }
    return n;
}

// --- tensors --------------------------------------------------------------------------------------------------------

namespace {

ConvForm form_of(const Weights & weights, VocoderPrecision precision) {
    if (precision == VocoderPrecision::plain) {
        return ConvForm::plain;
    }
    const bool     on_cpu    = ggml_backend_dev_type(weights.device()) == GGML_BACKEND_DEVICE_TYPE_CPU;
    const bool     automatic = precision == VocoderPrecision::automatic;
    const bool     stored    = automatic && weights.stored_type("code2wav.decoder.0.conv.weight") == GGML_TYPE_F32;
    const bool     slower    = automatic && on_cpu && !stored && faster_form(conv_times()) == ConvForm::f32;
    const ConvForm form      = choose_conv_form(on_cpu, stored || slower || precision == VocoderPrecision::f32);
    if (precision == VocoderPrecision::bf16 && form != ConvForm::bf16) {
        throw Error(ErrorKind::input,
                    "this device has no fast bfloat16 products; let the vocoder's precision be \"auto\"");
    }
    return form;
}

}  // namespace

Code2Wav::Code2Wav(std::shared_ptr<Weights> weights, const std::string & keys, VocoderPrecision precision) :
    weights_(weights),
    geometry_(read_geometry(weights->file(), keys)),
    form_(form_of(*weights, precision)) {
    Weights &               w = *weights;
    const DecoderGeometry & t = geometry_.transformer;
    const std::string       p = "code2wav.";
    code_embedding_ = w.matrix(p + "code_embedding.weight", { t.hidden, geometry_.codebook_size * geometry_.n_groups });
    for (int i = 0; i < t.n_layers; ++i) {
        const auto names = hf_decoder_names(p + "pre_transformer.layers." + std::to_string(i));
        layers_.push_back(declare_decoder_layer(w, t, names, { false, true }));
    }
    norm_ = w.f32(p + "pre_transformer.norm.weight", { t.hidden });
    for (size_t i = 0; i < geometry_.ratios.size(); ++i) {
        const std::string stage = p + "upsample." + std::to_string(i);
        Upsample          up;
        up.up    = declare_upsampling(w, stage + ".0", t.hidden, t.hidden, geometry_.ratios[i], 1);
        up.block = declare_convnext(w, stage + ".1", t.hidden);
        upsample_.push_back(up);
    }
    const auto n_blocks = (int64_t) geometry_.rates.size();
    first_              = declare_conv(w, p + "decoder.0", t.hidden, geometry_.decoder_dim, k_conv_taps, 1);
    for (int64_t i = 0; i < n_blocks; ++i) {
        blocks_.push_back(declare_block(w, p + "decoder." + std::to_string(i + 1), i));
    }
    const int64_t last_dim = geometry_.decoder_dim >> n_blocks;
    last_act_              = declare_snake(w, p + "decoder." + std::to_string(n_blocks + 1), last_dim);
    last_ = declare_conv(w, p + "decoder." + std::to_string(n_blocks + 2), last_dim, 1, k_conv_taps, 1);
}

// Lays the weights out as the convolution's form wants them.
void Code2Wav::declare_weight(Weights & w, Conv & conv, std::vector<int64_t> stored, StoredIndex index) const {
    const std::string name    = conv.path + ".conv.weight";
    const int64_t     in      = conv.in;
    const int64_t     taps    = conv.taps;
    const int64_t     outputs = conv.rate * conv.out;
    conv.form                 = conv_form_for(form_, in);
    const ConvForm form       = conv.form;
    const auto     source     = [=](int64_t i) -> int64_t {
        const ConvWeight at = conv_weight_at(form, i, in, taps);
        return at.output < outputs ? index(at) : -1;
    };
    const ggml_type type  = conv_weight_type(form, w.stored_type(name));
    const auto      shape = form == ConvForm::plain ? std::vector<int64_t>{ taps * in, outputs }
                                                    : std::vector<int64_t>{ conv_weight_size(form, in, outputs, taps) };
    conv.weight           = w.rearranged(name, stored, type, shape, source);
}

// Stored [out, in, taps] as in PyTorch.
Code2Wav::Conv Code2Wav::declare_conv(Weights & w, const std::string & path, int64_t in, int64_t out, int64_t taps,
                                      int64_t dilation) const {
    Conv conv;
    conv.path     = path;
    conv.in       = in;
    conv.out      = out;
    conv.taps     = taps;
    conv.dilation = dilation;
    declare_weight(w, conv, { taps, in, out },
                   [=](const ConvWeight & at) { return (at.output * in + at.channel) * taps + at.tap; });
    conv.bias = w.f32(path + ".conv.bias", { out });
    return conv;
}

// Stored [in, out, kernel] with kernel = taps * rate. Output t * rate + j sums input t times kernel j and, with two
// taps, input t - 1 times kernel j + rate. Taps in order of time, so the older input comes first.
Code2Wav::Conv Code2Wav::declare_upsampling(Weights & w, const std::string & path, int64_t in, int64_t out,
                                            int64_t rate, int64_t taps) const {
    Conv conv;
    conv.path            = path;
    conv.in              = in;
    conv.out             = out;
    conv.taps            = taps;
    conv.rate            = rate;
    const int64_t kernel = taps * rate;
    declare_weight(w, conv, { kernel, out, in }, [=](const ConvWeight & at) {
        const int64_t step = at.output / out + (taps - 1 - at.tap) * rate;
        return (at.channel * out + at.output % out) * kernel + step;
    });
    conv.bias = w.f32(path + ".conv.bias", { out });
    return conv;
}

Code2Wav::Snake Code2Wav::declare_snake(Weights & w, const std::string & path, int64_t channels) const {
    Snake snake;
    snake.path      = path;
    snake.frequency = w.f32_changed(path + ".alpha", { channels }, snake_frequency);
    snake.magnitude = w.f32_changed(path + ".beta", { channels }, snake_magnitude);
    return snake;
}

Code2Wav::ConvNeXt Code2Wav::declare_convnext(Weights & w, const std::string & path, int64_t channels) const {
    ConvNeXt block;
    block.path           = path;
    block.depthwise.path = path + ".dwconv";
    block.depthwise.in   = channels;
    block.depthwise.taps = k_conv_taps;
    const int64_t taps   = k_conv_taps;
    block.depthwise.weight =
        w.rearranged(path + ".dwconv.conv.weight", { taps, 1, channels }, GGML_TYPE_F32, { channels, taps },
                     [=](int64_t i) { return i % channels * taps + i / channels; });
    block.depthwise.bias = w.f32(path + ".dwconv.conv.bias", { channels });
    block.norm           = w.f32(path + ".norm.weight", { channels });
    block.norm_bias      = w.f32(path + ".norm.bias", { channels });
    block.pw1            = w.matrix(path + ".pwconv1.weight", { channels, 4 * channels });
    block.pw1_bias       = w.f32(path + ".pwconv1.bias", { 4 * channels });
    block.pw2            = w.wide_matrix(path + ".pwconv2.weight", { 4 * channels, channels });
    block.pw2_bias       = w.f32(path + ".pwconv2.bias", { channels });
    block.layer_scale    = w.f32(path + ".gamma", { channels });
    return block;
}

Code2Wav::DecoderBlock Code2Wav::declare_block(Weights & w, const std::string & path, int64_t index) const {
    const int64_t in  = geometry_.decoder_dim >> index;
    const int64_t out = in / 2;
    DecoderBlock  block;
    block.path = path;
    block.act  = declare_snake(w, path + ".block.0", in);
    block.up   = declare_upsampling(w, path + ".block.1", in, out, geometry_.rates[(size_t) index], 2);
    for (int64_t i = 0; i < 3; ++i) {
        ResidualUnit unit;
        unit.path  = path + ".block." + std::to_string(i + 2);
        unit.act1  = declare_snake(w, unit.path + ".act1", out);
        unit.conv1 = declare_conv(w, unit.path + ".conv1", out, out, k_conv_taps, k_dilations[i]);
        unit.act2  = declare_snake(w, unit.path + ".act2", out);
        unit.conv2 = declare_conv(w, unit.path + ".conv2", out, out, 1, 1);
        block.units.push_back(unit);
    }
    return block;
}

std::vector<const Code2Wav::Conv *> Code2Wav::stateful_convs() const {
    std::vector<const Conv *> convs;
    for (const auto & up : upsample_) {
        convs.push_back(&up.block.depthwise);
    }
    convs.push_back(&first_);
    for (const auto & block : blocks_) {
        convs.push_back(&block.up);
        for (const auto & unit : block.units) {
            convs.push_back(&unit.conv1);
        }
    }
    convs.push_back(&last_);
    return convs;
}

// --- graph ----------------------------------------------------------------------------------------------------------

// The computation of n frames, in the middle of a stream or at its start.
class Code2WavGraph {
  public:
    Code2WavGraph(const Code2Wav & vocoder, const Backends & backends, Probe * probe, const KvCache & cache,
                  const std::vector<ggml_tensor *> & conv_states, int64_t n_frames, bool at_start);

    std::vector<float> compute(const std::vector<int32_t> & rows, int64_t position);

    const int64_t n_frames;
    const bool    at_start;

  private:
    using Conv = Code2Wav::Conv;

    ggml_context * c() { return graph_.context(); }

    ggml_tensor * build();
    ggml_tensor * embed();
    ggml_tensor * with_context(ggml_tensor * x, const Conv & conv);
    ggml_tensor * state_of(const Conv & conv) const;
    void          keep_context(ggml_tensor * padded, int64_t time, const Conv & conv);
    ggml_tensor * taps_of(ggml_tensor * x, const Conv & conv);
    ggml_tensor * one_node(ggml_tensor * x, const Conv & conv, const Code2Wav::Snake * act, ggml_tensor * residual);
    ggml_tensor * product(ggml_tensor * x, const Conv & conv, const Code2Wav::Snake * act, ggml_tensor * residual);
    ggml_tensor * convolve(ggml_tensor * x, const Conv & conv, const Code2Wav::Snake * act = nullptr,
                           ggml_tensor * residual = nullptr);
    ggml_tensor * upsample(ggml_tensor * x, const Conv & conv, const Code2Wav::Snake * act);
    ggml_tensor * depthwise(ggml_tensor * x, const Conv & conv);
    ggml_tensor * snake(ggml_tensor * x, const Code2Wav::Snake & snake);
    ggml_tensor * convnext(ggml_tensor * x, const Code2Wav::ConvNeXt & block);
    ggml_tensor * residual_unit(ggml_tensor * x, const Code2Wav::ResidualUnit & unit);

    const Code2Wav &                   vocoder_;
    const std::vector<ggml_tensor *> & conv_states_;
    std::vector<const Conv *>          convs_;
    Graph                              graph_;
    const int64_t                      n_tokens_;  // of the transformer
    KvInputs                           kv_;
    ConvNodes                          nodes_;
    const bool                         probed_;
    ggml_tensor *                      rows_      = nullptr;  // I32 [n_frames, groups]
    ggml_tensor *                      unclamped_ = nullptr;  // [1, samples]
    ggml_tensor *                      samples_   = nullptr;  // [1, samples]
};

Code2WavGraph::Code2WavGraph(const Code2Wav & vocoder, const Backends & backends, Probe * probe, const KvCache & cache,
                             const std::vector<ggml_tensor *> & conv_states, int64_t frames, bool start) :
    n_frames(frames),
    at_start(start),
    vocoder_(vocoder),
    conv_states_(conv_states),
    convs_(vocoder.stateful_convs()),
    graph_(backends, probe),
    n_tokens_(probe == nullptr ? std::max(frames, k_least_tokens) : frames),
    kv_(graph_, cache, n_tokens_, cache.capacity(), 0, 1),
    probed_(probe != nullptr) {
    samples_ = graph_.output(build());
    graph_.finish();
}

// The mean over groups of the embeddings of a frame's codes: [hidden, n_tokens].
ggml_tensor * Code2WavGraph::embed() {
    const int64_t groups = vocoder_.geometry_.n_groups;
    const int64_t hidden = vocoder_.geometry_.transformer.hidden;
    rows_                = graph_.input(GGML_TYPE_I32, { n_tokens_ * groups });
    ggml_tensor * all    = ggml_get_rows(c(), vocoder_.code_embedding_, rows_);
    all                  = ggml_reshape_3d(c(), all, hidden, n_tokens_, groups);
    all                  = graph_.module("code2wav.code_embedding", all, Axes::group_time_channel);
    ggml_tensor * sum    = ggml_view_2d(c(), all, hidden, n_tokens_, all->nb[1], 0);
    for (int64_t g = 1; g < groups; ++g) {
        sum = ggml_add(c(), sum, ggml_view_2d(c(), all, hidden, n_tokens_, all->nb[1], (size_t) g * all->nb[2]));
    }
    return ggml_scale(c(), sum, 1.0f / (float) groups);
}

// x: [in, time] behind the last `context` inputs of the stream.
ggml_tensor * Code2WavGraph::with_context(ggml_tensor * x, const Conv & conv) {
    ggml_tensor * padded = ggml_concat(c(), state_of(conv), x, 1);
    keep_context(padded, x->ne[1], conv);
    return padded;
}

ggml_tensor * Code2WavGraph::state_of(const Conv & conv) const {
    return conv_states_[(size_t) (std::find(convs_.begin(), convs_.end(), &conv) - convs_.begin())];
}

// The newest inputs become the state for the next run.
void Code2WavGraph::keep_context(ggml_tensor * padded, int64_t time, const Conv & conv) {
    const size_t from = (size_t) time * padded->nb[1];
    graph_.effect(
        ggml_cpy(c(), ggml_view_2d(c(), padded, conv.in, conv.context(), padded->nb[1], from), state_of(conv)));
}

// The taps of every output as one column: [taps * in, time].
ggml_tensor * Code2WavGraph::taps_of(ggml_tensor * x, const Conv & conv) {
    if (conv.taps == 1) {
        return x;
    }
    std::vector<int32_t> rows;
    for (int64_t t = 0; t < x->ne[1]; ++t) {
        for (int64_t tap = 0; tap < conv.taps; ++tap) {
            rows.push_back((int32_t) (t + tap * conv.dilation));
        }
    }
    ggml_tensor * columns = ggml_get_rows(c(), with_context(x, conv), graph_.constant(rows));
    return ggml_reshape_2d(c(), columns, conv.taps * conv.in, x->ne[1]);
}

// conv(snake(x)) + residual, with the CPU's nodes. Under a probe Snake and the sum are nodes of their own, so that each
// module's output exists.
ggml_tensor * Code2WavGraph::one_node(ggml_tensor * x, const Conv & conv, const Code2Wav::Snake * act,
                                      ggml_tensor * residual) {
    const int64_t time = x->ne[1];
    if (act != nullptr && probed_) {
        x   = snake(x, *act);
        act = nullptr;
    }
    ggml_tensor * inputs = x;
    if (conv.context() > 0 || act != nullptr || conv.form == ConvForm::bf16) {
        inputs = nodes_.inputs(c(), conv.form, conv.context() > 0 ? state_of(conv) : nullptr, x,
                               act != nullptr ? act->frequency : nullptr, act != nullptr ? act->magnitude : nullptr);
    }
    if (conv.context() > 0) {
        keep_context(inputs, time, conv);
    }
    return nodes_.convolve(c(), conv.form, inputs, conv.weight, conv.bias, residual, time, conv.rate * conv.out,
                           conv.taps, conv.dilation);
}

// [rate * out, time], bias and residual included.
ggml_tensor * Code2WavGraph::product(ggml_tensor * x, const Conv & conv, const Code2Wav::Snake * act,
                                     ggml_tensor * residual) {
    if (conv.form != ConvForm::plain) {
        return one_node(x, conv, act, residual);
    }
    ggml_tensor * y = ggml_mul_mat(c(), conv.weight, taps_of(act != nullptr ? snake(x, *act) : x, conv));
    y               = ggml_reshape_2d(c(), y, conv.out, conv.rate * y->ne[1]);
    y               = ggml_add(c(), y, conv.bias);
    return residual != nullptr ? ggml_add(c(), y, residual) : y;
}

// A causal convolution of snake(x), plus the residual. x: [in, time], returns [out, time].
ggml_tensor * Code2WavGraph::convolve(ggml_tensor * x, const Conv & conv, const Code2Wav::Snake * act,
                                      ggml_tensor * residual) {
    ggml_tensor * y = product(x, conv, act, probed_ ? nullptr : residual);
    y               = graph_.module(conv.path + ".conv", y, Axes::batch_channel_time);
    y               = graph_.module(conv.path, y, Axes::batch_channel_time);
    return probed_ && residual != nullptr ? ggml_add(c(), y, residual) : y;
}

// A transposed convolution of snake(x). x: [in, time], returns [out, rate * time]; with two taps, at the start of a
// stream, without its first `rate` outputs: they have no previous input, and the reference trims them.
ggml_tensor * Code2WavGraph::upsample(ggml_tensor * x, const Conv & conv, const Code2Wav::Snake * act) {
    const int64_t time = x->ne[1];
    ggml_tensor * y    = product(x, conv, act, nullptr);
    y                  = ggml_reshape_2d(c(), y, conv.out, conv.rate * time);
    if (conv.taps > 1 && at_start) {
        const size_t from = (size_t) conv.rate * y->nb[1];
        y                 = ggml_cont(c(), ggml_view_2d(c(), y, conv.out, conv.rate * (time - 1), y->nb[1], from));
    }
    return graph_.module(conv.path, y, Axes::batch_channel_time);
}

// x: [channels, time], returns the same: every channel with a kernel of its own.
ggml_tensor * Code2WavGraph::depthwise(ggml_tensor * x, const Conv & conv) {
    ggml_tensor * padded = with_context(x, conv);
    ggml_tensor * sum    = nullptr;
    for (int64_t tap = 0; tap < conv.taps; ++tap) {
        ggml_tensor * shifted =
            ggml_view_2d(c(), padded, conv.in, x->ne[1], padded->nb[1], (size_t) tap * padded->nb[1]);
        ggml_tensor * kernel = ggml_view_1d(c(), conv.weight, conv.in, (size_t) tap * conv.weight->nb[1]);
        ggml_tensor * term   = ggml_mul(c(), shifted, kernel);
        sum                  = sum == nullptr ? term : ggml_add(c(), sum, term);
    }
    sum = graph_.module(conv.path + ".conv", ggml_add(c(), sum, conv.bias), Axes::batch_channel_time);
    return graph_.module(conv.path, sum, Axes::batch_channel_time);
}

// x + sin(x * frequency)^2 * magnitude. x: [channels, time].
ggml_tensor * Code2WavGraph::snake(ggml_tensor * x, const Code2Wav::Snake & s) {
    ggml_tensor * wave = ggml_sqr(c(), ggml_sin(c(), ggml_mul(c(), x, s.frequency)));
    return graph_.module(s.path, ggml_add(c(), x, ggml_mul(c(), wave, s.magnitude)), Axes::batch_channel_time);
}

// Reference: Qwen3OmniMoeConvNeXtBlock. x: [channels, time], returns the same.
ggml_tensor * Code2WavGraph::convnext(ggml_tensor * x, const Code2Wav::ConvNeXt & b) {
    ggml_tensor * y = depthwise(x, b.depthwise);
    y               = ggml_add(c(), ggml_mul(c(), ggml_norm(c(), y, k_layer_norm_eps), b.norm), b.norm_bias);
    y               = graph_.module(b.path + ".norm", y);
    y               = graph_.module(b.path + ".pwconv1", ggml_add(c(), graph_.product(b.pw1, y), b.pw1_bias));
    y               = graph_.module(b.path + ".act", ggml_gelu_erf(c(), y));
    y               = graph_.module(b.path + ".pwconv2", ggml_add(c(), graph_.product(b.pw2, y), b.pw2_bias));
    y               = ggml_add(c(), x, ggml_mul(c(), y, b.layer_scale));
    return graph_.module(b.path, y, Axes::batch_channel_time);
}

ggml_tensor * Code2WavGraph::residual_unit(ggml_tensor * x, const Code2Wav::ResidualUnit & unit) {
    ggml_tensor * y = convolve(convolve(x, unit.conv1, &unit.act1), unit.conv2, &unit.act2, x);
    return graph_.module(unit.path, y, Axes::batch_channel_time);
}

ggml_tensor * Code2WavGraph::build() {
    const DecoderGeometry & t = vocoder_.geometry_.transformer;
    ggml_tensor *           x = ggml_reshape_3d(c(), embed(), t.hidden, n_tokens_, 1);
    for (int i = 0; i < t.n_layers; ++i) {
        x = decoder_layer(graph_, "code2wav.pre_transformer.layers." + std::to_string(i), x,
                          vocoder_.layers_[(size_t) i], t, kv_, i);
    }
    x = rms_norm(graph_, "code2wav.pre_transformer.norm", x, vocoder_.norm_, t.rms_eps);
    x = graph_.module("code2wav.pre_transformer", x);
    x = ggml_view_2d(c(), x, t.hidden, n_frames, x->nb[1], 0);
    for (const auto & stage : vocoder_.upsample_) {
        x = convnext(upsample(x, stage.up, nullptr), stage.block);
    }
    x = convolve(x, vocoder_.first_);
    for (const auto & block : vocoder_.blocks_) {
        x = upsample(x, block.up, &block.act);
        for (const auto & unit : block.units) {
            x = residual_unit(x, unit);
        }
        x = graph_.module(block.path, x, Axes::batch_channel_time);
    }
    x = convolve(x, vocoder_.last_, &vocoder_.last_act_);
    // Clamping would turn NaN into 1, so the values before it are kept for a check. ggml clamps in place: a copy.
    unclamped_ = graph_.output(x);
    return graph_.module("code2wav", ggml_clamp(c(), ggml_cont(c(), x), -1.0f, 1.0f), Axes::batch_channel_time);
}

std::vector<float> Code2WavGraph::compute(const std::vector<int32_t> & rows, int64_t position) {
    // [groups, n_frames], each group's last repeated for the stand-in.
    std::vector<int32_t> padded;
    for (size_t i = 0; i < rows.size(); ++i) {
        const bool last = (int64_t) (i + 1) % n_frames == 0;
        padded.insert(padded.end(), last ? (size_t) (n_tokens_ - n_frames + 1) : 1, rows[i]);
    }
    graph_.set(rows_, padded.data(), padded.size() * sizeof(int32_t));
    kv_.set(graph_, { position }, vocoder_.geometry_.window);
    graph_.compute();
    const auto before = graph_.read(unclamped_);
    if (!all_finite(before.data(), before.size())) {
        throw Error(ErrorKind::numeric, "code2wav made NaN or infinity at frame " + std::to_string(position) +
                                            "; the weights are damaged or overflow");
    }
    return graph_.read(samples_);
}

// --- session --------------------------------------------------------------------------------------------------------

Code2WavSession::Code2WavSession(std::shared_ptr<const Code2Wav> code2wav, int n_threads,
                                 std::shared_ptr<Probe> probe) :
    code2wav_(std::move(code2wav)),
    probe_(std::move(probe)),
    backends_(code2wav_->weights().device(), n_threads),
    cache_(backends_, code2wav_->geometry_.transformer.n_layers, code2wav_->geometry_.transformer.kv_width(),
           code2wav_->geometry_.window - 1 + k_piece, 1),
    state_(code2wav_->stateful_convs().size(), "the vocoder's state") {
    for (const auto * conv : code2wav_->stateful_convs()) {
        conv_states_.push_back(
            ggml_new_tensor_2d(state_.context(), conv_input_type(conv->form), conv->in, conv->context()));
    }
    state_.allocate(backends_.device_buffer_type(), GGML_BACKEND_BUFFER_USAGE_ANY);
    state_.clear();
}

Code2WavSession::~Code2WavSession() = default;

void Code2WavSession::restart() {
    pending_.clear();
    n_frames_ = 0;
    state_.clear();
    cache_.clear(0);
}

Code2WavGraph & Code2WavSession::graph_for(int64_t n_frames) {
    const bool at_start = n_frames_ == 0;
    for (const auto & graph : graphs_) {
        if (graph->n_frames == n_frames && graph->at_start == at_start) {
            return *graph;
        }
    }
    if (graphs_.size() == k_max_graphs) {
        graphs_.erase(graphs_.begin());
    }
    graphs_.push_back(
        std::make_unique<Code2WavGraph>(*code2wav_, backends_, probe_.get(), cache_, conv_states_, n_frames, at_start));
    return *graphs_.back();
}

std::vector<float> Code2WavSession::decode(const std::vector<int32_t> & codes, int64_t n_frames) {
    const Code2WavGeometry & g = code2wav_->geometry_;
    if (n_frames < 0 || (int64_t) codes.size() != g.n_groups * n_frames) {
        throw Error(ErrorKind::input, "codes must have the shape [" + std::to_string(g.n_groups) + ", frames]");
    }
    for (size_t i = 0; i < codes.size(); ++i) {
        if (!is_id(codes[i], g.codebook_size)) {
            const auto at = (int64_t) i;
            refuse_id(codes[i], g.codebook_size, "code",
                      " of group " + std::to_string(at / n_frames) + ", frame " + std::to_string(at % n_frames));
        }
    }
    for (int64_t frame = 0; frame < n_frames; ++frame) {
        for (int64_t group = 0; group < g.n_groups; ++group) {
            pending_.push_back(codes[(size_t) (group * n_frames + frame)]);
        }
    }
    const int64_t      available = (int64_t) pending_.size() / g.n_groups;
    std::vector<float> samples;
    if (n_frames_ == 0 && g.n_samples(available) == 0) {
        return samples;  // too few frames for a first sample
    }
    const std::vector<int32_t> frames = std::move(pending_);
    pending_.clear();
    for (int64_t done = 0; done < available; done += k_piece) {
        const auto piece = decode_piece(frames, done, std::min(k_piece, available - done));
        samples.insert(samples.end(), piece.begin(), piece.end());
    }
    return samples;
}

std::vector<float> Code2WavSession::decode_piece(const std::vector<int32_t> & frames, int64_t first, int64_t count) {
    const Code2WavGeometry & g = code2wav_->geometry_;
    std::vector<int32_t>     rows;
    for (int64_t group = 0; group < g.n_groups; ++group) {
        for (int64_t frame = first; frame < first + count; ++frame) {
            rows.push_back((int32_t) (group * g.codebook_size + frames[(size_t) (frame * g.n_groups + group)]));
        }
    }
    auto samples = graph_for(count).compute(rows, n_frames_);
    code2wav_->weights().check_intact();
    n_frames_ += count;
    return samples;
}

}  // namespace omni

#include "models/audio_encoder.h"

#include <algorithm>
#include <cmath>

#include "core/finite.h"
#include "error/error.h"
#include "kernels/cpu_features.h"
#include "models/encoder_file.h"
#include "models/llama_names.h"
#include "ops/conv2d_op.h"
#include "ops/linear_op.h"

namespace omni {

namespace {

const std::string k_tower = "thinker.audio_tower.";
const std::string k_keys  = "clip.audio.";
const std::string k_ours  = "qwen3omni.audio.";

constexpr int64_t k_taps           = 9;    // 3 x 3
constexpr int64_t k_chunks_at_once = 2;    // of the convolutions, whose maps are large
constexpr int64_t k_most_tokens    = 512;  // behind them: weights are read once for so many
// What llama.cpp's files do not say is the published model's.
constexpr int64_t k_n_window       = 50;
constexpr int64_t k_n_window_infer = 800;

int64_t thrice_halved(int64_t n) {
    return halved(halved(halved(n)));
}

// --- hyperparameters ------------------------------------------------------------------------------------------------

void check(const GgufFile & file, const AudioEncoderGeometry & g, int64_t n_window_infer) {
    if (g.hidden % g.n_heads != 0) {
        file.fail("has an audio encoder of width " + std::to_string(g.hidden) + ", which " + std::to_string(g.n_heads) +
                  " attention heads do not divide");
    }
    if (g.window < 1) {
        file.fail("has an audio encoder whose attention sees " + std::to_string(n_window_infer) +
                  " frames, less than a chunk of " + std::to_string(g.chunk));
    }
    if (thrice_halved(g.chunk) > g.n_positions) {
        file.fail("has an audio encoder with " + std::to_string(g.n_positions) + " positions; a chunk has " +
                  std::to_string(thrice_halved(g.chunk)));
    }
}

AudioEncoderGeometry read_geometry(const GgufFile & file) {
    const std::string arch = file.string("general.architecture");
    if (arch != "clip") {
        file.fail("has the architecture \"" + arch + "\"; an mmproj file is \"clip\"");
    }
    require_projector(file, "audio", "qwen3a");
    AudioEncoderGeometry g;
    g.n_layers                   = (int) file.integer(k_keys + "block_count", 1, 1024);
    g.hidden                     = file.integer(k_keys + "embedding_length", 4, 1 << 16);
    g.n_heads                    = file.integer(k_keys + "attention.head_count", 1, 1 << 12);
    g.ffn_width                  = file.integer(k_keys + "feed_forward_length", 1, 1 << 20);
    g.n_mels                     = file.integer(k_keys + "num_mel_bins", 1, 512);
    g.output_width               = file.integer(k_keys + "projection_dim", 1, 1 << 20);
    g.norm_eps                   = (float) file.real(k_keys + "attention.layer_norm_epsilon", 0, 1);
    g.channels                   = encoder_extent(file, "audio", k_tower + "conv2d1.weight", 3, 1 << 14);
    g.n_positions                = encoder_extent(file, "audio", k_tower + "positional_embedding.weight", 1, 1 << 20);
    g.chunk                      = 2 * file.integer_or(k_ours + "n_window", 1, 1 << 10, k_n_window);
    const int64_t n_window_infer = file.integer_or(k_ours + "n_window_infer", 1, 1 << 14, k_n_window_infer);
    g.window                     = n_window_infer / g.chunk;
    check(file, g, n_window_infer);
    return g;
}

}  // namespace

int64_t AudioEncoderGeometry::n_tokens(int64_t n_frames) const {
    return thrice_halved(chunk) * (n_frames / chunk) + thrice_halved(n_frames % chunk);
}

// --- tensors --------------------------------------------------------------------------------------------------------

AudioEncoder::AudioEncoder(std::shared_ptr<Weights> weights, bool plain) :
    weights_(std::move(weights)),
    geometry_(read_geometry(weights_->file())),
    form_(encoder_form(weights_->device(), plain)) {
    const AudioEncoderGeometry & g = geometry_;
    for (size_t i = 0; i < convs_.size(); ++i) {
        convs_[i] = declare_conv(k_tower + "conv2d" + std::to_string(i + 1), i == 0 ? 1 : g.channels);
    }
    const int64_t stacked = g.channels * thrice_halved(g.n_mels);
    conv_out_.weight      = weights_->matrix(llama_encoder_name(k_tower + "conv_out.weight"), { stacked, g.hidden });
    positions_ =
        weights_->f32(llama_encoder_name(k_tower + "positional_embedding.weight"), { g.hidden, g.n_positions });
    for (int i = 0; i < g.n_layers; ++i) {
        const std::string path = k_tower + "layers." + std::to_string(i) + ".";
        Layer             layer;
        layer.attention_norm = declare_norm(path + "self_attn_layer_norm");
        layer.q              = declare_linear(path + "self_attn.q_proj", g.hidden, g.hidden);
        layer.k              = declare_linear(path + "self_attn.k_proj", g.hidden, g.hidden);
        layer.v              = declare_linear(path + "self_attn.v_proj", g.hidden, g.hidden);
        layer.out            = declare_linear(path + "self_attn.out_proj", g.hidden, g.hidden);
        layer.ffn_norm       = declare_norm(path + "final_layer_norm");
        layer.fc1            = declare_linear(path + "fc1", g.hidden, g.ffn_width);
        layer.fc2            = declare_linear(path + "fc2", g.ffn_width, g.hidden);
        layers_.push_back(layer);
    }
    ln_post_ = declare_norm(k_tower + "ln_post");
    proj1_   = declare_linear(k_tower + "proj1", g.hidden, g.hidden);
    proj2_   = declare_linear(k_tower + "proj2", g.hidden, g.output_width);
}

AudioEncoder::Linear AudioEncoder::declare_linear(const std::string & path, int64_t in, int64_t out) const {
    return { weights_->matrix(llama_encoder_name(path + ".weight"), { in, out }),
             weights_->f32(llama_encoder_name(path + ".bias"), { out }) };
}

// Stored [out, in, mel, time] as in PyTorch, the bias [out, 1, 1].
AudioEncoder::Conv AudioEncoder::declare_conv(const std::string & path, int64_t in) const {
    const std::string          name   = llama_encoder_name(path + ".weight");
    const std::vector<int64_t> stored = { 3, 3, in, geometry_.channels };
    const int64_t              out    = geometry_.channels;
    Conv                       conv;
    if (form_ == ConvForm::plain) {
        conv.weight = weights_->rearranged(name, stored, GGML_TYPE_F32, { k_taps * in, out }, [=](int64_t i) {
            const int64_t channel = i % in, tap = i / in % k_taps, output = i / in / k_taps;
            return (output * in + channel) * k_taps + tap;
        });
    } else {
        const bool     exact = weights_->stored_type(name) == GGML_TYPE_F32;
        const ConvForm form  = conv2d_form(exact ? ConvForm::f32 : form_, in);
        conv.form            = form;
        conv.weight = weights_->rearranged(name, stored, conv_input_type(form), { conv2d_weight_size(form, in, out) },
                                           [=](int64_t i) { return conv2d_weight_at(form, i, in, out); });
    }
    conv.bias = weights_->f32(llama_encoder_name(path + ".bias"), { 1, 1, out });
    return conv;
}

AudioEncoder::Norm AudioEncoder::declare_norm(const std::string & path) const {
    return { weights_->f32(llama_encoder_name(path + ".weight"), { geometry_.hidden }),
             weights_->f32(llama_encoder_name(path + ".bias"), { geometry_.hidden }) };
}

// --- graph ----------------------------------------------------------------------------------------------------------

// The convolutions of n chunks.
struct AudioEncoderSession::Stem {
    Stem(const Backends & backends, Probe * probe, int64_t chunk_frames, int64_t chunks) :
        graph(backends, probe),
        chunk(chunk_frames),
        n_chunks(chunks) {}

    Graph         graph;
    int64_t       chunk;
    int64_t       n_chunks;
    ggml_tensor * features = nullptr;  // [1, time, mels, chunks]
    ggml_tensor * rows     = nullptr;  // [hidden, tokens of a chunk, chunks]
};

// Everything behind the convolutions, for some windows: all of whole length but the last.
struct AudioEncoderSession::Tower {
    Tower(const Backends & backends, Probe * probe, int64_t tokens) : graph(backends, probe), n_tokens(tokens) {}

    Graph          graph;
    int64_t        n_tokens;
    AttentionNodes attentions;
    ggml_tensor *  rows   = nullptr;  // [hidden, tokens]
    ggml_tensor *  output = nullptr;  // [output width, tokens]
};

AudioEncoderSession::AudioEncoderSession(std::shared_ptr<const AudioEncoder> encoder, int n_threads,
                                         std::shared_ptr<Probe> probe) :
    encoder_(std::move(encoder)),
    probe_(std::move(probe)),
    backends_(encoder_->weights().device(), n_threads) {}

AudioEncoderSession::~AudioEncoderSession() = default;

bool AudioEncoderSession::plain() const {
    return encoder_->form_ == ConvForm::plain;
}

ggml_tensor * AudioEncoderSession::linear(Graph & graph, const std::string & path, const AudioEncoder::Linear & linear,
                                          ggml_tensor * x, bool gelu_first) const {
    if (!plain()) {
        x = graph.linear(linear_form(encoder_->form_, linear.weight), linear.weight, x, linear.bias,
                         gelu_first ? Activation::gelu : Activation::none);
        return graph.module(path, x, Axes::time_channel);
    }
    x = graph.product(linear.weight, x);
    if (linear.bias != nullptr) {
        x = ggml_add(graph.context(), x, linear.bias);
    }
    return graph.module(path, x, Axes::time_channel);
}

ggml_tensor * AudioEncoderSession::gelu(Graph & graph, ggml_tensor * x) const {
    return plain() ? ggml_gelu_erf(graph.context(), x) : activation_node(graph.context(), x, Activation::gelu);
}

// linear(GELU(x)), where `activation` names GELU(x).
ggml_tensor * AudioEncoderSession::behind_gelu(Graph & graph, const std::string & activation, const std::string & path,
                                               const AudioEncoder::Linear & linear, ggml_tensor * x) const {
    if (!plain() && !probe_) {
        return this->linear(graph, path, linear, x, true);
    }
    x = graph.module(activation, gelu(graph, x), Axes::time_channel);
    return this->linear(graph, path, linear, x);
}

ggml_tensor * AudioEncoderSession::norm(Graph & graph, const std::string & path, const AudioEncoder::Norm & norm,
                                        ggml_tensor * x) const {
    ggml_context * c = graph.context();
    x                = ggml_norm(c, x, encoder_->geometry().norm_eps);
    x                = ggml_add(c, ggml_mul(c, x, norm.weight), norm.bias);
    return graph.module(path, x, Axes::time_channel);
}

namespace {

// Which row of a map [time, mel, chunk] each tap of each output is; `zero` where it lies outside.
std::vector<int32_t> tap_rows(const std::array<int64_t, 3> & map, int32_t zero) {
    const auto [times, mels, chunks] = map;
    std::vector<int32_t> rows;
    rows.reserve((size_t) (halved(times) * halved(mels) * chunks * k_taps));
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
        for (int64_t mel = 0; mel < halved(mels); ++mel) {
            for (int64_t time = 0; time < halved(times); ++time) {
                for (int64_t tap = 0; tap < k_taps; ++tap) {
                    const int64_t m = 2 * mel + tap / 3 - 1, t = 2 * time + tap % 3 - 1;
                    const bool    inside = m >= 0 && m < mels && t >= 0 && t < times;
                    rows.push_back(inside ? (int32_t) ((chunk * mels + m) * times + t) : zero);
                }
            }
        }
    }
    return rows;
}

}  // namespace

// x: a map [in, time, mel, chunk] -> the convolution [channels, half the time, half the mels, chunk], without its bias.
ggml_tensor * AudioEncoderSession::gathered(Graph & graph, const AudioEncoder::Conv & conv, ggml_tensor * x) const {
    ggml_context *               c  = graph.context();
    const int64_t                in = x->ne[0];
    const std::array<int64_t, 3> map{ x->ne[1], x->ne[2], x->ne[3] };
    const int64_t                n      = map[0] * map[1] * map[2];
    ggml_tensor *                padded = ggml_pad(c, ggml_reshape_2d(c, x, in, n), 0, 1, 0, 0);  // the row of zeros
    ggml_tensor *                taps   = ggml_get_rows(c, padded, graph.constant(tap_rows(map, (int32_t) n)));
    taps                                = ggml_reshape_4d(c, taps, k_taps * in, halved(map[0]), halved(map[1]), map[2]);
    return ggml_mul_mat(c, conv.weight, taps);
}

// x: a map [in, time, mel, chunk], of the features or of what the convolution before made -> the convolution of GELU of
// that.
ggml_tensor * AudioEncoderSession::conv(Graph & graph, int index, ggml_tensor * x) const {
    const AudioEncoder::Conv & conv = encoder_->convs_[(size_t) index];
    ggml_context *             c    = graph.context();
    if (plain()) {
        x = gathered(graph, conv, index > 0 ? gelu(graph, x) : x);
        x = ggml_add(c, x, ggml_reshape_1d(c, conv.bias, ggml_nelements(conv.bias)));
    } else {
        const std::array<int64_t, 3> map{ x->ne[1], x->ne[2], x->ne[3] };
        x = conv2d(c, conv.form, framed_map(c, conv.form, x, index > 0), conv.weight, conv.bias, map);
    }
    const std::string path = k_tower + "conv2d" + std::to_string(index + 1);
    if (probe_ && (probe_->captures(path) || probe_->replaces(path))) {
        // In the reference's order of axes: a map [channel, mel, time] a chunk.
        x = graph.module(path, ggml_cont(c, ggml_permute(c, x, 2, 0, 1, 3)), Axes::chunk_channel_mel_time);
        x = ggml_cont(c, ggml_permute(c, x, 1, 2, 0, 3));
    }
    return x;
}

AudioEncoderSession::Stem & AudioEncoderSession::stem_for(int64_t chunk, int64_t n_chunks) {
    if (stem_ && stem_->chunk == chunk && stem_->n_chunks == n_chunks) {
        return *stem_;
    }
    const AudioEncoderGeometry & g     = encoder_->geometry();
    auto                         stem  = std::make_unique<Stem>(backends_, probe_.get(), chunk, n_chunks);
    Graph &                      graph = stem->graph;
    stem->features                     = graph.input(GGML_TYPE_F32, { 1, chunk, g.n_mels, n_chunks });
    ggml_tensor * x                    = stem->features;
    for (int i = 0; i < 3; ++i) {
        x = conv(graph, i, x);
    }
    // [channels, time, mel, chunk] -> [mel, channels, time, chunk]: a feature is channel * mels + mel.
    ggml_context * c     = graph.context();
    const int64_t  times = x->ne[1], mels = x->ne[2];
    x                    = ggml_cont(c, ggml_permute(c, gelu(graph, x), 1, 2, 0, 3));
    x                    = ggml_reshape_3d(c, x, mels * g.channels, times, n_chunks);
    ggml_tensor * weight = encoder_->conv_out_.weight;
    x = plain() ? graph.product(weight, x) : graph.linear(linear_form(encoder_->form_, weight), weight, x, nullptr);
    x = graph.module(k_tower + "conv_out", x, Axes::chunk_time_channel);
    ggml_tensor * positions = ggml_view_2d(c, encoder_->positions_, g.hidden, times, encoder_->positions_->nb[1], 0);
    stem->rows              = graph.output(ggml_add(c, x, positions));
    graph.finish();
    stem_ = std::move(stem);
    return *stem_;
}

// q, k, v [hidden, tokens] -> the same: what each token takes from those of its window.
ggml_tensor * AudioEncoderSession::mixed(Tower & tower, ggml_tensor * q, ggml_tensor * k, ggml_tensor * v) const {
    const AudioEncoderGeometry & g = encoder_->geometry();
    ggml_context *               c = tower.graph.context();
    const int64_t                n = q->ne[1];
    if (!plain()) {
        return tower.attentions.attention(c, ConvForm::f32, q, k, v, g.n_heads, g.n_tokens(g.window * g.chunk));
    }
    q = ggml_permute(c, ggml_reshape_3d(c, q, g.head_dim(), g.n_heads, n), 0, 2, 1, 3);
    k = ggml_permute(c, ggml_reshape_3d(c, k, g.head_dim(), g.n_heads, n), 0, 2, 1, 3);
    v = ggml_cont(c, ggml_permute(c, ggml_reshape_3d(c, v, g.head_dim(), g.n_heads, n), 1, 2, 0, 3));

    ggml_tensor * scores = ggml_mul_mat(c, k, q);  // [tokens, tokens, heads]
    scores               = ggml_soft_max_ext(c, scores, nullptr, 1.0f / std::sqrt((float) g.head_dim()), 0.0f);
    return ggml_cont_2d(c, ggml_permute(c, ggml_mul_mat(c, v, scores), 0, 2, 1, 3), g.hidden, n);
}

// x: [hidden, tokens], returns the same.
ggml_tensor * AudioEncoderSession::attention(Tower & tower, const std::string & path, const AudioEncoder::Layer & layer,
                                             ggml_tensor * x) const {
    Graph &       graph = tower.graph;
    ggml_tensor * q     = linear(graph, path + ".q_proj", layer.q, x);
    ggml_tensor * k     = linear(graph, path + ".k_proj", layer.k, x);
    ggml_tensor * v     = linear(graph, path + ".v_proj", layer.v, x);
    return linear(graph, path + ".out_proj", layer.out, mixed(tower, q, k, v));
}

ggml_tensor * AudioEncoderSession::encoder_layer(Tower & tower, int index, ggml_tensor * x) const {
    const AudioEncoder::Layer & layer  = encoder_->layers_[(size_t) index];
    const std::string           path   = k_tower + "layers." + std::to_string(index);
    Graph &                     graph  = tower.graph;
    ggml_tensor *               normed = norm(graph, path + ".self_attn_layer_norm", layer.attention_norm, x);
    ggml_tensor *               mixed  = attention(tower, path + ".self_attn", layer, normed);
    mixed                              = graph.module(path + ".self_attn", mixed, Axes::time_channel);
    x                                  = ggml_add(graph.context(), x, mixed);

    normed = norm(graph, path + ".final_layer_norm", layer.ffn_norm, x);
    mixed  = linear(graph, path + ".fc1", layer.fc1, normed);
    mixed  = behind_gelu(graph, path + ".activation_fn", path + ".fc2", layer.fc2, mixed);
    return graph.module(path, ggml_add(graph.context(), x, mixed), Axes::time_channel);
}

AudioEncoderSession::Tower & AudioEncoderSession::tower_for(int64_t n_tokens) {
    if (tower_ && tower_->n_tokens == n_tokens) {
        return *tower_;
    }
    auto    tower = std::make_unique<Tower>(backends_, probe_.get(), n_tokens);
    Graph & graph = tower->graph;
    tower->rows   = graph.input(GGML_TYPE_F32, { encoder_->geometry().hidden, n_tokens });

    ggml_tensor * x = tower->rows;
    for (int i = 0; i < encoder_->geometry().n_layers; ++i) {
        x = encoder_layer(*tower, i, x);
    }
    x             = norm(graph, k_tower + "ln_post", encoder_->ln_post_, x);
    x             = linear(graph, k_tower + "proj1", encoder_->proj1_, x);
    tower->output = graph.output(behind_gelu(graph, k_tower + "act", k_tower + "proj2", encoder_->proj2_, x));
    graph.finish();
    tower_ = std::move(tower);
    return *tower_;
}

// As many windows as weights are read once for; an ordinary node of attention takes one.
int64_t AudioEncoderSession::windows_at_once() const {
    const AudioEncoderGeometry & g = encoder_->geometry();
    return plain() ? 1 : std::max<int64_t>(1, k_most_tokens / g.n_tokens(g.window * g.chunk));
}

// --- a clip ---------------------------------------------------------------------------------------------------------

// Chunks first to last of the features -> [tokens of a chunk * chunks, hidden], with what the zeros became.
std::vector<float> AudioEncoderSession::convolve(const std::vector<float> & features, int64_t n_frames, int64_t first,
                                                 int64_t last) {
    const AudioEncoderGeometry & g     = encoder_->geometry();
    const int64_t                chunk = std::min(g.chunk, n_frames);
    std::vector<float>           rows;
    for (int64_t at = first; at < last; at += k_chunks_at_once) {
        const int64_t      n = std::min(k_chunks_at_once, last - at);
        std::vector<float> given((size_t) (chunk * g.n_mels * n), 0.0f);
        for (int64_t i = 0; i < n; ++i) {
            const int64_t begin = (at + i) * g.chunk, end = std::min(begin + chunk, n_frames);
            for (int64_t mel = 0; mel < g.n_mels; ++mel) {
                std::copy(features.begin() + mel * n_frames + begin, features.begin() + mel * n_frames + end,
                          given.begin() + (i * g.n_mels + mel) * chunk);
            }
        }
        Stem & stem = stem_for(chunk, n);
        stem.graph.set(stem.features, given.data(), given.size() * sizeof(float));
        stem.graph.compute();
        const auto out = stem.graph.read(stem.rows);
        rows.insert(rows.end(), out.begin(), out.end());
    }
    return rows;
}

std::vector<float> AudioEncoderSession::encode(const std::vector<float> & features, int64_t n_frames,
                                               const std::function<bool()> & cancelled) {
    const AudioEncoderGeometry & g = encoder_->geometry();
    if (n_frames < 1 || (int64_t) features.size() != g.n_mels * n_frames) {
        throw Error(ErrorKind::input, "log-mel features are an array [" + std::to_string(g.n_mels) + ", n] with n > 0");
    }
    if (!all_finite(features.data(), features.size())) {
        throw Error(ErrorKind::input, "log-mel features hold NaN or infinity");
    }
    const int64_t      n_chunks = (n_frames + g.chunk - 1) / g.chunk;
    std::vector<float> out;
    const int64_t      step = g.window * windows_at_once();
    for (int64_t first = 0; first < n_chunks && !(cancelled && cancelled()); first += step) {
        const int64_t last = std::min(first + step, n_chunks);
        auto          rows = convolve(features, n_frames, first, last);
        const int64_t n    = g.n_tokens(std::min(last * g.chunk, n_frames)) - g.n_tokens(first * g.chunk);
        rows.resize((size_t) (n * g.hidden));  // without what is only padding's
        Tower & tower = tower_for(n);
        tower.graph.set(tower.rows, rows.data(), rows.size() * sizeof(float));
        tower.graph.compute();
        const auto seen = tower.graph.read(tower.output);
        out.insert(out.end(), seen.begin(), seen.end());
    }
    encoder_->weights().check_intact();
    if (!all_finite(out.data(), out.size())) {
        throw Error(ErrorKind::numeric, "the audio encoder's output is NaN or infinite; the weights of " +
                                            encoder_->weights().file().path() + " are damaged or overflow");
    }
    return out;
}

}  // namespace omni

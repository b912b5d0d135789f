#include "models/thinker.h"

#include <algorithm>

#include "error/error.h"
#include "models/llama_names.h"

namespace omni {

namespace {

const std::string k_model        = "thinker.model.";
const std::string k_embed_tokens = k_model + "embed_tokens.weight";
const std::string k_lm_head      = "thinker.lm_head.weight";

// --- hyperparameters ------------------------------------------------------------------------------------------------

ThinkerGeometry read_geometry(const GgufFile & file) {
    const std::string arch = file.string("general.architecture");
    if (arch != "qwen3vlmoe" && arch != "qwen3moe") {
        file.fail("has the architecture \"" + arch + "\"; a thinker file is \"qwen3vlmoe\"");
    }
    const std::string p = arch + ".";
    ThinkerGeometry   geometry;
    DecoderGeometry & g = geometry.decoder;
    g.n_layers          = (int) file.integer(p + "block_count", 1, 1024);
    g.hidden            = file.integer(p + "embedding_length", 1, 1 << 20);
    g.n_heads           = file.integer(p + "attention.head_count", 1, 1 << 14);
    g.n_kv_heads        = file.integer_or(p + "attention.head_count_kv", 1, 1 << 14, g.n_heads);
    g.head_dim   = file.integer_or(p + "attention.key_length", 2, 1 << 14, std::max<int64_t>(2, g.hidden / g.n_heads));
    g.rms_eps    = (float) file.real(p + "attention.layer_norm_rms_epsilon", 0, 1);
    g.rope_theta = (float) file.real_or(p + "rope.freq_base", 1, 1e12, 1e4);
    g.context    = file.integer(p + "context_length", 1, 1 << 30);
    g.n_experts  = file.integer(p + "expert_count", 1, 1 << 16);
    g.n_experts_used = file.integer(p + "expert_used_count", 1, 1 << 10);
    g.expert_width   = file.integer(p + "expert_feed_forward_length", 1, 1 << 20);
    check_decoder_geometry(file, "thinker", g);
    g.rope_sections = read_rope_sections(file, p + "rope.dimension_sections", g.head_dim);

    const GgufTensor * table = file.find_tensor(llama_thinker_name(k_embed_tokens));
    if (table == nullptr) {
        file.fail("lacks tensor " + llama_thinker_name(k_embed_tokens) + "; it is no thinker file");
    }
    geometry.vocab        = table->ne[1];
    geometry.accept_layer = file.integer_or("qwen3omni.accept_hidden_layer", 0, g.n_layers, -1);
    geometry.sampling     = read_sampling(file, "qwen3omni.generation.", {});
    return geometry;
}

}  // namespace

// --- tensors --------------------------------------------------------------------------------------------------------

Thinker::Thinker(const std::string & path, const std::string & device, bool map) :
    Thinker(std::make_shared<GgufFile>(path), device, map) {}

Thinker::Thinker(std::shared_ptr<const GgufFile> file, const std::string & device, bool map,
                 const LoadProgress & progress) :
    Thinker(std::move(file), find_device(device), map) {
    weights_->load(progress);
}

void Thinker::check(std::shared_ptr<const GgufFile> file) {
    Thinker(std::move(file), find_device("CPU"), false).weights_->check();
}

Thinker::Thinker(std::shared_ptr<const GgufFile> file, ggml_backend_dev_t device, bool map) :
    device_(device),
    geometry_(read_geometry(*file)) {
    weights_ = std::make_unique<Weights>(file, device_, map);

    const DecoderGeometry & g    = geometry_.decoder;
    const auto              name = llama_thinker_name;
    embed_tokens_                = weights_->matrix(name(k_embed_tokens), { g.hidden, geometry_.vocab });
    for (int i = 0; i < g.n_layers; ++i) {
        const auto path  = k_model + "layers." + std::to_string(i) + ".";
        const auto names = [&](const std::string & tensor) { return name(path + tensor); };
        layers_.push_back(declare_decoder_layer(*weights_, g, names, { true, false }));
    }
    norm_ = weights_->f32(name(k_model + "norm.weight"), { g.hidden });
    // A file without a head of its own ties it to the embedding.
    lm_head_ = weights_->has(name(k_lm_head)) ? weights_->matrix(name(k_lm_head), { g.hidden, geometry_.vocab })
                                              : embed_tokens_;
}

// --- graph ----------------------------------------------------------------------------------------------------------

struct ThinkerSession::Built : DecoderGraph {
    using DecoderGraph::DecoderGraph;

    Form                       form;
    ggml_tensor *              tokens = nullptr;  // I32 [time]
    ggml_tensor *              kept   = nullptr;  // [1, time]: 0 where a row of media stands, else 1
    ggml_tensor *              rows   = nullptr;  // [hidden, time]: media; else 0
    std::vector<ggml_tensor *> deepstack;         // [hidden, time] each
    ggml_tensor *              logits = nullptr;  // [vocab, time or 1]
    ggml_tensor *              hidden = nullptr;  // [hidden, time]
};

// Tokens that are computed at once.
struct ThinkerSession::Stretch {
    const std::vector<int32_t> & tokens;  // of the whole run
    const ThinkerMedia &         media;
    int64_t                      first, count;

    bool is_last() const { return first + count == (int64_t) tokens.size(); }
};

ThinkerSession::ThinkerSession(std::shared_ptr<const Thinker> model, int n_threads, std::shared_ptr<Probe> probe) :
    model_(std::move(model)),
    probe_(std::move(probe)),
    backends_(model_->device(), n_threads),
    cache_(backends_, model_->geometry().decoder, 1) {}

ThinkerSession::Built & ThinkerSession::graph_for(int64_t n_tokens, const Form & form) {
    const int64_t slots = cache_.window(position_ + n_tokens);
    if (!built_ || built_->kv.n_tokens != n_tokens || built_->kv.n_slots != slots || !(built_->form == form)) {
        const int64_t axes = form.three_axes ? 4 : 1;
        auto built  = std::make_shared<Built>(backends_, probe_.get(), cache_.cache(), n_tokens, slots, 0, 1, axes);
        built->form = form;
        build(*built);
        built_ = built;
    }
    return *built_;
}

void ThinkerSession::build(Built & built) const {
    const ThinkerGeometry & geometry = model_->geometry();
    const DecoderGeometry & g        = geometry.decoder;
    const int64_t           n        = built.kv.n_tokens;
    Graph &                 graph    = built.graph;
    built.tokens                     = graph.input(GGML_TYPE_I32, { n });

    auto keep_hidden = [&](ggml_tensor * x, int64_t entry) {
        if (built.form.want_hidden && entry == geometry.accept_layer) {
            built.hidden = graph.output(x);
        }
    };
    ggml_tensor * x =
        graph.module(k_model + "embed_tokens", ggml_get_rows(graph.context(), model_->embed_tokens_, built.tokens));
    if (built.form.media) {
        built.kept = graph.input(GGML_TYPE_F32, { 1, n });
        built.rows = graph.input(GGML_TYPE_F32, { g.hidden, n });
        x          = ggml_add(graph.context(), ggml_mul(graph.context(), x, built.kept), built.rows);
    }
    keep_hidden(x, 0);
    for (int i = 0; i < g.n_layers; ++i) {
        x = decoder_layer(graph, k_model + "layers." + std::to_string(i), x, model_->layers_[(size_t) i], g, built.kv,
                          i);
        // Entry k of the reference's hidden_states is the output of layer k - 1, before anything is added to it; the
        // last is after the final norm.
        if (i + 1 < g.n_layers) {
            keep_hidden(x, i + 1);
        }
        if ((size_t) i < built.form.n_deepstack) {
            built.deepstack.push_back(graph.input(GGML_TYPE_F32, { g.hidden, n }));
            x = ggml_add(graph.context(), x, built.deepstack.back());
        }
    }
    x = rms_norm(graph, k_model + "norm", x, model_->norm_, g.rms_eps);
    keep_hidden(x, g.n_layers);
    if (!built.form.all_logits) {
        x = ggml_view_2d(graph.context(), x, g.hidden, 1, x->nb[1], (size_t) (n - 1) * x->nb[1]);
    }
    built.logits = graph.output(graph.module("thinker.lm_head", graph.product(model_->lm_head_, x)));
    graph.finish();
}

// --- a run of tokens ------------------------------------------------------------------------------------------------

ThinkerOutput ThinkerSession::forward(const std::vector<int32_t> & tokens, bool all_logits, bool want_hidden,
                                      const ThinkerMedia & media) {
    const ThinkerGeometry & geometry = model_->geometry();
    if (tokens.empty()) {
        throw Error(ErrorKind::input, "the thinker got no tokens");
    }
    check_ids(tokens, geometry.vocab, "vocabulary token id");
    const int64_t n = (int64_t) tokens.size();
    check_room(position_ + n, geometry.decoder, "thinker", "the conversation");
    if (want_hidden && geometry.accept_layer < 0) {
        throw Error(ErrorKind::input, "the thinker file does not say which hidden state a talker reads "
                                      "(qwen3omni.accept_hidden_layer); convert it with omniggml");
    }
    check_media(media, n);
    cache_.reserve(position_ + n, [this] { built_.reset(); });
    const int64_t before = position_;
    const Form    form{ all_logits, want_hidden, !media.at.empty(), media.deepstack.size(), !media.positions.empty() };
    ThinkerOutput out;
    for_each_stretch(
        n, [&](int64_t first, int64_t count) { forward_stretch({ tokens, media, first, count }, form, out); });
    if (!media.positions.empty()) {
        offset_.after(before, n, media.positions.largest());
    }
    return out;
}

void ThinkerSession::check_media(const ThinkerMedia & media, int64_t n_tokens) const {
    const DecoderGeometry & g    = model_->geometry().decoder;
    const auto              size = media.at.size() * (size_t) g.hidden;
    bool                    fits = media.rows.size() == size && (int64_t) media.deepstack.size() <= g.n_layers;
    for (size_t i = 0; i < media.at.size(); ++i) {
        fits = fits && media.at[i] >= (i > 0 ? media.at[i - 1] + 1 : 0) && media.at[i] < n_tokens;
    }
    for (const auto & level : media.deepstack) {
        fits = fits && level.size() == size;
    }
    if (!fits) {
        throw Error(ErrorKind::input, "rows of media don't fit: expected ascending places among " +
                                          std::to_string(n_tokens) + " tokens, and for each a row of " +
                                          std::to_string(g.hidden) + " a layer, of up to " +
                                          std::to_string(g.n_layers) + " layers");
    }
    if (media.positions.empty()) {
        return;
    }
    if (!g.has_three_axes()) {
        throw Error(ErrorKind::input,
                    "the thinker file does not say, for heads of this size, which pairs positions in time, height and "
                    "width rotate (rope.dimension_sections); convert it with omniggml");
    }
    media.positions.check(n_tokens);
}

void ThinkerSession::set_media(Built & built, const ThinkerMedia & media, int64_t first, int64_t n) const {
    const auto         hidden = (size_t) model_->geometry().decoder.hidden;
    const auto         begin  = std::lower_bound(media.at.begin(), media.at.end(), first);
    const auto         end    = std::lower_bound(begin, media.at.end(), first + n);
    std::vector<float> kept((size_t) n, 1.0f);
    const auto         scattered = [&](const std::vector<float> & rows) {
        std::vector<float> out((size_t) n * hidden, 0.0f);
        for (auto at = begin; at != end; ++at) {
            const auto from = rows.begin() + (at - media.at.begin()) * (std::ptrdiff_t) hidden;
            std::copy(from, from + (std::ptrdiff_t) hidden,
                      out.begin() + (std::ptrdiff_t) ((size_t) (*at - first) * hidden));
        }
        return out;
    };
    for (auto at = begin; at != end; ++at) {
        kept[(size_t) (*at - first)] = 0.0f;
    }
    const auto set = [&](ggml_tensor * input, const std::vector<float> & values) {
        built.graph.set(input, values.data(), values.size() * sizeof(float));
    };
    set(built.kept, kept);
    set(built.rows, scattered(media.rows));
    for (size_t level = 0; level < media.deepstack.size(); ++level) {
        set(built.deepstack[level], scattered(media.deepstack[level]));
    }
}

void ThinkerSession::set_positions(Built & built, const ThinkerMedia & media, int64_t first, int64_t n) const {
    if (!media.positions.empty()) {
        built.kv.set(built.graph, { position_ }, 0, media.positions.for_graph(first, n));
        return;
    }
    std::vector<int32_t> rotated;
    for (int64_t i = 0; i < n; ++i) {
        rotated.push_back((int32_t) (position_ + i + offset_.value()));
    }
    built.kv.set(built.graph, { position_ }, 0, rotated);
}

void ThinkerSession::forward_stretch(const Stretch & stretch, const Form & form, ThinkerOutput & out) {
    const int64_t n     = stretch.count;
    Built &       built = graph_for(n, form);
    built.graph.set(built.tokens, stretch.tokens.data() + stretch.first, (size_t) n * sizeof(int32_t));
    if (form.media) {
        set_media(built, stretch.media, stretch.first, n);
    }
    set_positions(built, stretch.media, stretch.first, n);
    built.graph.compute();
    model_->check_intact();
    position_ += n;
    if (form.all_logits || stretch.is_last()) {
        const auto logits = built.graph.read(built.logits);
        check_logits(logits.data(), logits.size(), "thinker", model_->file());
        out.logits.insert(out.logits.end(), logits.begin(), logits.end());
    }
    if (form.want_hidden) {
        const auto hidden = built.graph.read(built.hidden);
        out.hidden.insert(out.hidden.end(), hidden.begin(), hidden.end());
    }
}

void ThinkerSession::truncate(int64_t position) {
    if (position < 0 || position > position_) {
        throw Error(ErrorKind::input,
                    "can't go back to position " + std::to_string(position) + " of " + std::to_string(position_));
    }
    offset_.truncate(position);
    position_ = position;
}

}  // namespace omni

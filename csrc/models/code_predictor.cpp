#include "models/code_predictor.h"

#include "error/error.h"

namespace omni {

namespace {

// --- hyperparameters ------------------------------------------------------------------------------------------------

CodePredictorGeometry read_geometry(const GgufFile & file, const std::string & p) {
    CodePredictorGeometry g;
    g.decoder = read_decoder_geometry(file, p);
    check_decoder_geometry(file, "code predictor", g.decoder);
    g.n_groups = file.integer(p + "num_code_groups", 2, 256);
    g.vocab    = file.integer(p + "vocab_size", 1, 1 << 24);

    g.sampling = read_sampling(file, p + "generation.", k_predictor_sampling);
    return g;
}

}  // namespace

// --- tensors --------------------------------------------------------------------------------------------------------

CodePredictor::CodePredictor(std::shared_ptr<Weights> weights, const std::string & keys) :
    weights_(weights),
    geometry_(read_geometry(weights->file(), keys)) {
    Weights &               w = *weights;
    const DecoderGeometry & g = geometry_.decoder;
    const std::string       p = "talker.code_predictor.";
    for (int64_t i = 0; i + 1 < geometry_.n_groups; ++i) {
        const std::string n = std::to_string(i);
        codec_embedding_.push_back(
            w.matrix(p + "model.codec_embedding." + n + ".weight", { g.hidden, geometry_.vocab }));
        lm_head_.push_back(w.matrix(p + "lm_head." + n + ".weight", { g.hidden, geometry_.vocab }));
    }
    for (int i = 0; i < g.n_layers; ++i) {
        const auto names = hf_decoder_names(p + "model.layers." + std::to_string(i));
        layers_.push_back(declare_decoder_layer(w, g, names, { true, false }));
    }
    norm_ = w.f32(p + "model.norm.weight", { g.hidden });
}

CodeTables CodePredictor::code_tables() const {
    CodeTables tables;
    for (ggml_tensor * rows : codec_embedding_) {
        tables.push_back({ rows, weights_ });
    }
    return tables;
}

// --- graph ----------------------------------------------------------------------------------------------------------

struct CodePredictorSession::Built : DecoderGraph {
    using DecoderGraph::DecoderGraph;

    ggml_tensor * hidden = nullptr;  // step 0: [hidden, 1, n_sequences]
    ggml_tensor * codes  = nullptr;  // I32 [n_sequences]
    ggml_tensor * logits = nullptr;  // [vocab, 1, n_sequences]
};

CodePredictorSession::CodePredictorSession(std::shared_ptr<const CodePredictor> predictor, CodeTable first,
                                           int64_t n_sequences, int n_threads, std::shared_ptr<Probe> probe) :
    predictor_(std::move(predictor)),
    first_(std::move(first)),
    n_sequences_(checked_batch(n_sequences)),
    probe_(std::move(probe)),
    backends_(predictor_->weights().device(), n_threads),
    cache_(backends_, predictor_->geometry_.decoder.n_layers, predictor_->geometry_.decoder.kv_width(),
           predictor_->geometry_.n_groups, n_sequences) {}

std::shared_ptr<CodePredictorSession::Built> CodePredictorSession::build(int64_t step) {
    const DecoderGeometry & g        = predictor_->geometry_.decoder;
    const int64_t           n_tokens = step == 0 ? 2 : 1;
    auto           built = std::make_shared<Built>(backends_, probe_.get(), cache_, n_tokens, cache_.capacity(), 0, n_);
    Graph &        graph = built->graph;
    ggml_context * c     = graph.context();
    built->codes         = graph.input(GGML_TYPE_I32, { n_ });

    // Code 0 is embedded by the talker, code k by table k - 1 of the predictor.
    const std::string p     = "talker.code_predictor.";
    ggml_tensor *     table = step == 0 ? first_.rows : predictor_->codec_embedding_[(size_t) step - 1];
    ggml_tensor *     x     = ggml_reshape_3d(c, ggml_get_rows(c, table, built->codes), g.hidden, 1, n_);
    if (step == 0) {
        built->hidden = graph.input(GGML_TYPE_F32, { g.hidden, 1, n_ });
        x             = ggml_concat(c, built->hidden, x, 1);
    } else {
        x = graph.module(p + "model.codec_embedding." + std::to_string(step - 1), x);
    }
    for (int i = 0; i < g.n_layers; ++i) {
        x = decoder_layer(graph, p + "model.layers." + std::to_string(i), x, predictor_->layers_[(size_t) i], g,
                          built->kv, i);
    }
    x = rms_norm(graph, p + "model.norm", x, predictor_->norm_, g.rms_eps);
    if (n_tokens > 1) {
        c = graph.context();
        x = ggml_cont(c, ggml_view_3d(c, x, g.hidden, 1, n_, x->nb[1], x->nb[2], x->nb[1]));
    }
    x             = graph.product(predictor_->lm_head_[(size_t) step], x);
    built->logits = graph.output(graph.module(p + "lm_head." + std::to_string(step), x));
    graph.finish();
    // Positions are the same in every frame.
    return built;
}

std::vector<float> CodePredictorSession::compute(Built & built) {
    const int64_t position = step_ == 0 ? 0 : step_ + 1;
    built.kv.set(built.graph, std::vector<int64_t>((size_t) n_, position), 0);
    built.graph.compute();
    ++step_;
    predictor_->weights().check_intact();
    return built.graph.read(built.logits);
}

void CodePredictorSession::check_logits(const std::vector<float> & logits) const {
    omni::check_logits(logits.data(), logits.size(), "code predictor", predictor_->weights().file());
}

void CodePredictorSession::check_codes(const std::vector<int32_t> & codes, int64_t size) const {
    if ((int64_t) codes.size() != n_) {
        throw Error(ErrorKind::input,
                    "the code predictor takes " + std::to_string(n_) + " code(s), not " + std::to_string(codes.size()));
    }
    check_ids(codes, size, "code");
}

// Of as many speeches as the frame was started with.
CodePredictorSession::Steps & CodePredictorSession::steps() {
    auto * known = steps_.find(n_);
    return known != nullptr ? *known : steps_.keep(n_, Steps((size_t) predictor_->geometry_.n_groups - 1));
}

void CodePredictorSession::forget() const {
    for (int64_t i = 0; i < n_sequences_; ++i) {
        cache_.clear(i);
    }
}

std::vector<float> CodePredictorSession::start(const std::vector<float> & hidden, const std::vector<int32_t> & codes) {
    const int64_t width = predictor_->geometry_.decoder.hidden;
    if (codes.empty() || (int64_t) codes.size() > n_sequences_) {
        throw Error(ErrorKind::input, "the code predictor takes 1 to " + std::to_string(n_sequences_) +
                                          " code(s), not " + std::to_string(codes.size()));
    }
    check_ids(codes, first_.n_codes(), "code");
    if (hidden.size() != (size_t) width * codes.size()) {
        throw Error(ErrorKind::input,
                    "the code predictor takes hidden states [sequences, " + std::to_string(width) + "]");
    }
    n_          = (int64_t) codes.size();
    step_       = 0;
    auto & slot = steps()[0];
    if (!slot) {
        slot = build(0);
    }
    Built & built = *slot;
    built.graph.set(built.codes, codes.data(), codes.size() * sizeof(int32_t));
    built.graph.set(built.hidden, hidden.data(), hidden.size() * sizeof(float));
    return compute(built);
}

std::vector<float> CodePredictorSession::next(const std::vector<int32_t> & codes) {
    if (step_ < 1) {
        throw Error(ErrorKind::input, "the code predictor has no frame yet; start one with the talker's hidden state");
    }
    check_codes(codes, predictor_->geometry_.vocab);
    if (step_ >= predictor_->geometry_.n_groups - 1) {
        throw Error(ErrorKind::input, "the code predictor has no further group; start the next frame");
    }
    auto & slot = steps()[(size_t) step_];
    if (!slot) {
        slot = build(step_);
    }
    slot->graph.set(slot->codes, codes.data(), codes.size() * sizeof(int32_t));
    return compute(*slot);
}

}  // namespace omni

#include "models/talker.h"

#include <algorithm>
#include <numeric>

#include "error/error.h"

namespace omni {

namespace {

// --- hyperparameters ------------------------------------------------------------------------------------------------

int32_t read_id(const GgufFile & file, const std::string & key, int64_t vocab) {
    return (int32_t) file.integer(key, 0, vocab - 1);
}

CodecTokens read_codec_tokens(const GgufFile & file, const std::string & p, int64_t vocab) {
    CodecTokens t{};
    t.eos       = read_id(file, p + "codec_eos_token_id", vocab);
    t.bos       = read_id(file, p + "codec_bos_id", vocab);
    t.pad       = read_id(file, p + "codec_pad_id", vocab);
    t.nothink   = read_id(file, p + "codec_nothink_id", vocab);
    t.think_bos = read_id(file, p + "codec_think_bos_id", vocab);
    t.think_eos = read_id(file, p + "codec_think_eos_id", vocab);
    return t;
}

std::map<std::string, int32_t> read_speakers(const GgufFile & file, const std::string & p, int64_t vocab) {
    const auto names = file.strings(p + "speaker_names");
    const auto ids   = file.integers(p + "speaker_ids", 0, vocab - 1);
    if (names.size() != ids.size()) {
        file.fail("names " + std::to_string(names.size()) + " speakers and gives " + std::to_string(ids.size()) +
                  " ids");
    }
    if (names.empty()) {
        file.fail("names no speaker in " + p + "speaker_names; convert the model again");
    }
    std::map<std::string, int32_t> speakers;
    for (size_t i = 0; i < names.size(); ++i) {
        if (!speakers.emplace(names[i], (int32_t) ids[i]).second) {
            file.fail("names the speaker \"" + names[i] + "\" twice in " + p + "speaker_names");
        }
    }
    return speakers;
}

TalkerGeometry read_geometry(const GgufFile & file, const std::string & p) {
    TalkerGeometry    geometry;
    DecoderGeometry & g = geometry.decoder;
    g                   = read_decoder_geometry(file, p);
    g.n_experts         = file.integer(p + "num_experts", 1, 1 << 16);
    g.n_experts_used    = file.integer(p + "num_experts_per_tok", 1, 1 << 10);
    g.expert_width      = file.integer(p + "moe_intermediate_size", 1, 1 << 20);
    g.shared_width      = file.integer(p + "shared_expert_intermediate_size", 1, 1 << 20);
    g.renormalise       = file.boolean(p + "norm_topk_prob");
    check_decoder_geometry(file, "talker", g);
    g.rope_sections = read_rope_sections(file, p + "mrope_section", g.head_dim);

    geometry.vocab            = file.integer(p + "vocab_size", 2, 1 << 24);
    geometry.suppressed_tail  = file.integer(p + "suppressed_tail", 0, geometry.vocab - 1);
    geometry.thinker_hidden   = file.integer(p + "thinker_hidden_size", 1, 1 << 20);
    geometry.projection_width = g.ffn_width;

    const GgufTensor * table = file.find_tensor("thinker.model.embed_tokens.weight");
    if (table == nullptr) {
        file.fail("lacks tensor thinker.model.embed_tokens.weight, the text embedding table; convert the model again");
    }
    geometry.text_vocab = table->ne[1];
    geometry.codec      = read_codec_tokens(file, p, geometry.vocab);
    geometry.speakers   = read_speakers(file, p, geometry.vocab);
    geometry.sampling   = read_sampling(file, p + "generation.", k_talker_sampling);
    geometry.max_frames = file.integer_or(p + "generation.max_new_tokens", 1, 1 << 24, k_talker_max_frames);
    return geometry;
}

}  // namespace

// --- tensors --------------------------------------------------------------------------------------------------------

Talker::Talker(std::shared_ptr<Weights> weights, const std::string & keys) :
    weights_(weights),
    geometry_(read_geometry(weights->file(), keys)) {
    Weights &               w = *weights;
    const DecoderGeometry & g = geometry_.decoder;
    embed_tokens_    = w.table("thinker.model.embed_tokens.weight", { geometry_.thinker_hidden, geometry_.text_vocab });
    text_projection_ = declare_projection(w, "talker.text_projection");
    hidden_projection_ = declare_projection(w, "talker.hidden_projection");
    codec_embedding_   = w.matrix("talker.model.codec_embedding.weight", { g.hidden, geometry_.vocab });
    for (int i = 0; i < g.n_layers; ++i) {
        const auto names = hf_decoder_names("talker.model.layers." + std::to_string(i));
        layers_.push_back(declare_decoder_layer(w, g, names, { true, false }));
    }
    norm_       = w.f32("talker.model.norm.weight", { g.hidden });
    codec_head_ = w.matrix("talker.codec_head.weight", { g.hidden, geometry_.vocab });
}

Talker::Projection Talker::declare_projection(Weights & w, const std::string & path) const {
    const int64_t in  = geometry_.thinker_hidden;
    const int64_t mid = geometry_.projection_width;
    const int64_t out = geometry_.decoder.hidden;
    Projection    p;
    p.fc1      = w.matrix(path + ".linear_fc1.weight", { in, mid });
    p.fc1_bias = w.f32(path + ".linear_fc1.bias", { mid });
    p.fc2      = w.matrix(path + ".linear_fc2.weight", { mid, out });
    p.fc2_bias = w.f32(path + ".linear_fc2.bias", { out });
    return p;
}

// --- graph ----------------------------------------------------------------------------------------------------------

struct TalkerSession::Built : DecoderGraph {
    using DecoderGraph::DecoderGraph;

    std::vector<ggml_tensor *> codes;             // a frame: I32 [n_sequences] a group
    ggml_tensor *              inputs = nullptr;  // a prompt: [hidden, time]; a frame: the text, [hidden, n_sequences]
    ggml_tensor *              logits = nullptr;  // [vocab, 1, n_sequences]
    ggml_tensor *              hidden = nullptr;  // [hidden, 1, n_sequences]
};

TalkerSession::TalkerSession(std::shared_ptr<const Talker> talker, CodeTables tables, int64_t n_sequences,
                             int n_threads, std::shared_ptr<Probe> probe) :
    talker_(std::move(talker)),
    tables_(std::move(tables)),
    n_sequences_(checked_batch(n_sequences)),
    probe_(std::move(probe)),
    backends_(talker_->weights().device(), n_threads),
    cache_(backends_, talker_->geometry().decoder, n_sequences),
    positions_((size_t) n_sequences, 0),
    offsets_((size_t) n_sequences),
    rows_((size_t) n_sequences) {
    std::iota(rows_.begin(), rows_.end(), 0);
}

namespace {

// Puts row i of [n, width] at row_of[i].
std::vector<float> by_row(const std::vector<float> & values, const std::vector<size_t> & row_of, int64_t width) {
    std::vector<float> out(values.size());
    for (size_t i = 0; i < row_of.size(); ++i) {
        std::copy_n(values.begin() + (std::ptrdiff_t) i * width, width,
                    out.begin() + (std::ptrdiff_t) row_of[i] * width);
    }
    return out;
}

// And takes it from there.
std::vector<float> in_order(const std::vector<float> & values, const std::vector<size_t> & row_of, int64_t width) {
    std::vector<float> out(values.size());
    for (size_t i = 0; i < row_of.size(); ++i) {
        std::copy_n(values.begin() + (std::ptrdiff_t) row_of[i] * width, width,
                    out.begin() + (std::ptrdiff_t) i * width);
    }
    return out;
}

}  // namespace

// x: [hidden, time, n_sequences], returns the hidden states after the final norm.
ggml_tensor * TalkerSession::decode(Graph & graph, ggml_tensor * x, const KvInputs & kv) const {
    const DecoderGeometry & g = talker_->geometry().decoder;
    for (int i = 0; i < g.n_layers; ++i) {
        x = decoder_layer(graph, "talker.model.layers." + std::to_string(i), x, talker_->layers_[(size_t) i], g, kv, i);
    }
    return rms_norm(graph, "talker.model.norm", x, talker_->norm_, g.rms_eps);
}

// Keeps the last position of every sequence.
void TalkerSession::finish_graph(Built & built, ggml_tensor * x) const {
    Graph & graph = built.graph;
    if (x->ne[1] > 1) {
        ggml_context * c    = graph.context();
        const size_t   last = (size_t) (x->ne[1] - 1) * x->nb[1];
        x                   = ggml_cont(c, ggml_view_3d(c, x, x->ne[0], 1, x->ne[2], x->nb[1], x->nb[2], last));
    }
    built.hidden = graph.output(x);
    built.logits = graph.output(graph.module("talker.codec_head", graph.product(talker_->codec_head_, x)));
    graph.finish();
}

// Of the sequences that lie in n_rows rows from this one on.
std::shared_ptr<TalkerSession::Built> TalkerSession::build_prompt(int64_t row, int64_t n_rows, int64_t n, int64_t slots,
                                                                  bool three_axes) {
    const int64_t axes  = three_axes ? 4 : 1;
    auto          built = std::make_shared<Built>(backends_, probe_.get(), cache_.cache(), n, slots, row, n_rows, axes);
    built->inputs       = built->graph.input(GGML_TYPE_F32, { talker_->geometry().decoder.hidden, n, n_rows });
    finish_graph(*built, decode(built->graph, built->inputs, built->kv));
    return built;
}

// Of the sequences that lie in the first n rows.
std::shared_ptr<TalkerSession::Built> TalkerSession::build_frame(int64_t n, int64_t slots) {
    auto          built  = std::make_shared<Built>(backends_, probe_.get(), cache_.cache(), 1, slots, 0, n);
    Graph &       graph  = built->graph;
    const int64_t hidden = talker_->geometry().decoder.hidden;
    built->inputs        = graph.input(GGML_TYPE_F32, { hidden, 1, n });

    ggml_tensor * sum = nullptr;
    for (size_t g = 0; g < tables_.size(); ++g) {
        ggml_context * c   = graph.context();
        ggml_tensor *  ids = graph.input(GGML_TYPE_I32, { n });
        built->codes.push_back(ids);
        ggml_tensor * rows = ggml_get_rows(c, tables_[g].rows, ids);
        if (g == 0) {
            rows = ggml_reshape_3d(c, rows, hidden, 1, n);
            rows = graph.module("talker.model.codec_embedding", rows);
        }
        rows = ggml_reshape_3d(c, rows, hidden, 1, n);
        sum  = sum == nullptr ? rows : ggml_add(c, sum, rows);
    }
    finish_graph(*built, decode(graph, ggml_add(graph.context(), sum, built->inputs), built->kv));
    return built;
}

TalkerSession::Built & TalkerSession::frame_graph(int64_t n, int64_t slots) {
    auto * known = frame_graphs_.find(n);
    if (known != nullptr && (*known)->kv.n_slots == slots) {
        return **known;
    }
    return *frame_graphs_.keep(n, build_frame(n, slots));
}

TalkerOutput TalkerSession::result(Built & built) const {
    talker_->weights().check_intact();
    return { built.graph.read(built.logits), built.graph.read(built.hidden) };
}

void TalkerSession::check_logits(const std::vector<float> & logits) const {
    omni::check_logits(logits.data(), logits.size(), "talker", talker_->weights().file());
}

void TalkerSession::check_places(const AxisPositions & places, int64_t n) const {
    if (places.empty()) {
        return;
    }
    if (!talker_->geometry().decoder.has_three_axes()) {
        throw Error(ErrorKind::input,
                    "the speech file does not say, for heads of this size, which pairs positions in time, height and "
                    "width rotate (mrope_section); convert it with omniggml");
    }
    places.check(n);
}

TalkerOutput TalkerSession::prompt(int64_t sequence, const std::vector<float> & inputs, const AxisPositions & places) {
    const int64_t hidden = talker_->geometry().decoder.hidden;
    const int64_t n      = (int64_t) inputs.size() / hidden;
    if (sequence < 0 || sequence >= n_sequences_ || n == 0 || n * hidden != (int64_t) inputs.size()) {
        throw Error(ErrorKind::input, "a talker prompt is an array [n, " + std::to_string(hidden) + "] with n > 0");
    }
    check_places(places, n);
    int64_t & position = positions_[(size_t) sequence];
    auto &    offset   = offsets_[(size_t) sequence];
    check_room(position + n, talker_->geometry().decoder, "talker", "the speech");
    cache_.reserve(position + n, [this] { frame_graphs_.clear(); });
    const int64_t before = position;
    TalkerOutput  out;
    for_each_stretch(n, [&](int64_t first, int64_t count) {
        auto built = build_prompt(rows_[(size_t) sequence], 1, count, cache_.window(position + count), !places.empty());
        built->graph.set(built->inputs, inputs.data() + first * hidden, (size_t) (count * hidden) * sizeof(float));
        if (places.empty()) {
            std::vector<int32_t> rotated((size_t) count);
            std::iota(rotated.begin(), rotated.end(), (int32_t) (position + offset.value()));
            built->kv.set(built->graph, { position }, 0, rotated);
        } else {
            built->kv.set(built->graph, { position }, 0, places.for_graph(first, count));
        }
        built->graph.compute();
        position += count;
        out = result(*built);
    });
    if (!places.empty()) {
        offset.after(before, n, places.largest());
    }
    return out;
}

// sequences: in the order of their rows, which follow each other. inputs: [sequences, n, hidden].
TalkerOutput TalkerSession::prompts_side_by_side(const std::vector<int64_t> & sequences,
                                                 const std::vector<float> & inputs, int64_t n) {
    std::vector<int64_t> starts;
    std::vector<int32_t> rotated;
    for (const int64_t i : sequences) {
        starts.push_back(positions_[(size_t) i]);
        for (int64_t at = starts.back(); at < starts.back() + n; ++at) {
            rotated.push_back((int32_t) (at + offsets_[(size_t) i].value()));
        }
    }
    const int64_t window = cache_.window(n + *std::max_element(starts.begin(), starts.end()));
    auto          built = build_prompt(rows_[(size_t) sequences.front()], (int64_t) sequences.size(), n, window, false);
    built->graph.set(built->inputs, inputs.data(), inputs.size() * sizeof(float));
    built->kv.set(built->graph, starts, 0, rotated);
    built->graph.compute();
    for (const int64_t i : sequences) {
        positions_[(size_t) i] += n;
    }
    return result(*built);
}

std::vector<TalkerOutput> TalkerSession::prompts(const std::vector<int64_t> &            sequences,
                                                 const std::vector<std::vector<float>> & inputs) {
    const int64_t hidden = talker_->geometry().decoder.hidden;
    const int64_t vocab  = talker_->geometry().vocab;
    const int64_t n      = (int64_t) inputs.at(0).size() / hidden;
    int64_t       needed = 0;
    for (size_t i = 0; i < sequences.size(); ++i) {
        if (n == 0 || (int64_t) inputs.at(i).size() != n * hidden) {
            throw Error(ErrorKind::internal, "prompts that are read together have as many inputs each");
        }
        needed = std::max(needed, positions_.at((size_t) sequences[i]) + n);
    }
    check_room(needed, talker_->geometry().decoder, "talker", "the speech");
    cache_.reserve(needed, [this] { frame_graphs_.clear(); });
    std::map<int64_t, size_t> by_row;
    for (size_t i = 0; i < sequences.size(); ++i) {
        by_row[rows_[(size_t) sequences[i]]] = i;
    }
    std::vector<TalkerOutput> out(sequences.size());
    for (auto first = by_row.begin(); first != by_row.end();) {
        std::vector<size_t>  which;
        std::vector<int64_t> together;
        std::vector<float>   all;
        const int64_t        row = first->first;
        while (first != by_row.end() && first->first == row + (int64_t) which.size()) {
            which.push_back(first->second);
            together.push_back(sequences[first->second]);
            all.insert(all.end(), inputs[first->second].begin(), inputs[first->second].end());
            ++first;
        }
        const TalkerOutput said = prompts_side_by_side(together, all, n);
        for (size_t i = 0; i < which.size(); ++i) {
            const auto logits = said.logits.begin() + (std::ptrdiff_t) i * vocab;
            const auto states = said.hidden.begin() + (std::ptrdiff_t) i * hidden;
            out[which[i]]     = { { logits, logits + vocab }, { states, states + hidden } };
        }
    }
    return out;
}

std::vector<int64_t> TalkerSession::all() const {
    std::vector<int64_t> sequences((size_t) n_sequences_);
    std::iota(sequences.begin(), sequences.end(), 0);
    return sequences;
}

void TalkerSession::check_frame(int64_t n, const std::vector<int32_t> & codes, const std::vector<float> & text) const {
    const auto    groups = (int64_t) tables_.size();
    const int64_t hidden = talker_->geometry().decoder.hidden;
    if ((int64_t) codes.size() != groups * n || (int64_t) text.size() != hidden * n) {
        throw Error(ErrorKind::input, "a frame is codes [sequences, " + std::to_string(groups) +
                                          "] and text [sequences, " + std::to_string(hidden) + "]");
    }
    for (size_t i = 0; i < codes.size(); ++i) {
        const size_t group = i % tables_.size();
        if (!is_id(codes[i], tables_[group].n_codes())) {
            refuse_id(codes[i], tables_[group].n_codes(), "code", " of group " + std::to_string(group));
        }
    }
}

void TalkerSession::check_sequences(const std::vector<int64_t> & sequences) const {
    std::vector<bool> seen(positions_.size(), false);
    for (const int64_t i : sequences) {
        if (i < 0 || i >= n_sequences_ || seen[(size_t) i]) {
            throw Error(ErrorKind::input, "a frame is for different sequences from 0 to " +
                                              std::to_string(n_sequences_ - 1) + ", not for " + std::to_string(i));
        }
        seen[(size_t) i] = true;
        if (positions_[(size_t) i] == 0) {
            throw Error(ErrorKind::input, "a frame was given to a speech without a prompt; give the prompt first");
        }
        check_room(positions_[(size_t) i] + 1, talker_->geometry().decoder, "talker", "the speech");
    }
}

// Lets the n sequences lie in the first n rows of the cache, in any order.
void TalkerSession::move_to_front(const std::vector<int64_t> & sequences) {
    const auto           n = (int64_t) sequences.size();
    std::vector<int64_t> at(rows_.size());  // which sequence lies in a row
    std::vector<bool>    wanted(rows_.size(), false);
    for (size_t i = 0; i < rows_.size(); ++i) {
        at[(size_t) rows_[i]] = (int64_t) i;
    }
    for (const int64_t i : sequences) {
        wanted[(size_t) i] = true;
    }
    int64_t free = 0;
    for (const int64_t i : sequences) {
        const int64_t row = rows_[(size_t) i];
        if (row < n) {
            continue;
        }
        while (wanted[(size_t) at[(size_t) free]]) {
            ++free;
        }
        const auto other = (size_t) at[(size_t) free];
        cache_.exchange(row, free, std::max(positions_[(size_t) i], positions_[other]));
        std::swap(at[(size_t) row], at[(size_t) free]);
        std::swap(rows_[(size_t) i], rows_[other]);
    }
}

TalkerOutput TalkerSession::frame(const std::vector<int64_t> & sequences, const std::vector<int32_t> & codes,
                                  const std::vector<float> & text) {
    const auto n = (int64_t) sequences.size();
    if (n == 0) {
        return {};
    }
    check_sequences(sequences);
    check_frame(n, codes, text);
    const auto    groups = tables_.size();
    const int64_t hidden = talker_->geometry().decoder.hidden;
    const int64_t vocab  = talker_->geometry().vocab;
    move_to_front(sequences);
    std::vector<size_t>  row_of;
    std::vector<int64_t> starts((size_t) n);
    std::vector<int32_t> rotated((size_t) n);
    for (const int64_t i : sequences) {
        row_of.push_back((size_t) rows_[(size_t) i]);
        starts[row_of.back()]  = positions_[(size_t) i];
        rotated[row_of.back()] = (int32_t) (positions_[(size_t) i] + offsets_[(size_t) i].value());
    }
    const int64_t needed = 1 + *std::max_element(starts.begin(), starts.end());
    cache_.reserve(needed, [this] { frame_graphs_.clear(); });
    Built & built = frame_graph(n, cache_.window(needed));
    for (size_t g = 0; g < groups; ++g) {
        std::vector<int32_t> ids((size_t) n);
        for (size_t i = 0; i < row_of.size(); ++i) {
            ids[row_of[i]] = codes[i * groups + g];
        }
        built.graph.set(built.codes[g], ids.data(), ids.size() * sizeof(int32_t));
    }
    const auto inputs = by_row(text, row_of, hidden);
    built.graph.set(built.inputs, inputs.data(), inputs.size() * sizeof(float));
    built.kv.set(built.graph, starts, 0, rotated);
    built.graph.compute();
    for (const int64_t i : sequences) {
        ++positions_[(size_t) i];
    }
    const TalkerOutput out = result(built);
    return { in_order(out.logits, row_of, vocab), in_order(out.hidden, row_of, hidden) };
}

// --- projections and embeddings -------------------------------------------------------------------------------------

std::vector<float> TalkerSession::project(const std::string & path, const Talker::Projection & p,
                                          const std::vector<int32_t> * tokens, const std::vector<float> * states) {
    Graph          graph(backends_, probe_.get());
    ggml_context * c     = graph.context();
    const int64_t  in    = talker_->geometry().thinker_hidden;
    ggml_tensor *  given = nullptr;
    ggml_tensor *  x     = nullptr;
    if (tokens != nullptr) {
        given = graph.input(GGML_TYPE_I32, { (int64_t) tokens->size() });
        x     = ggml_get_rows(c, talker_->embed_tokens_, given);
    } else {
        given = graph.input(GGML_TYPE_F32, { in, (int64_t) states->size() / in });
        x     = given;
    }
    x = graph.module(path + ".linear_fc1", ggml_add(c, graph.product(p.fc1, x), p.fc1_bias));
    x = graph.module(path + ".act_fn", ggml_silu(c, x));
    x = graph.module(path + ".linear_fc2", ggml_add(c, graph.product(p.fc2, x), p.fc2_bias));
    x = graph.output(graph.module(path, x));
    graph.finish();
    if (tokens != nullptr) {
        graph.set(given, tokens->data(), tokens->size() * sizeof(int32_t));
    } else {
        graph.set(given, states->data(), states->size() * sizeof(float));
    }
    graph.compute();
    return graph.read(x);
}

std::vector<float> TalkerSession::project_text(const std::vector<int32_t> & tokens) {
    check_ids(tokens, talker_->geometry().text_vocab, "vocabulary token id");
    talker_->weights().check_rows(talker_->embed_tokens_, tokens);
    return tokens.empty() ? std::vector<float>{}
                          : project("talker.text_projection", talker_->text_projection_, &tokens, nullptr);
}

std::vector<float> TalkerSession::project_hidden(const std::vector<float> & states) {
    const int64_t in = talker_->geometry().thinker_hidden;
    if ((int64_t) states.size() % in != 0) {
        throw Error(ErrorKind::input, "thinker hidden states are an array [n, " + std::to_string(in) + "]");
    }
    return states.empty() ? std::vector<float>{}
                          : project("talker.hidden_projection", talker_->hidden_projection_, nullptr, &states);
}

std::vector<float> TalkerSession::embed_codec(const std::vector<int32_t> & ids) {
    check_ids(ids, talker_->geometry().vocab, "codec id");
    Graph         graph(backends_, probe_.get());
    ggml_tensor * given = graph.input(GGML_TYPE_I32, { (int64_t) ids.size() });
    ggml_tensor * x     = ggml_get_rows(graph.context(), talker_->codec_embedding_, given);
    x                   = graph.output(graph.module("talker.model.codec_embedding", x));
    graph.finish();
    graph.set(given, ids.data(), ids.size() * sizeof(int32_t));
    graph.compute();
    return graph.read(x);
}

}  // namespace omni

// The talker: reads projected text, writes the first code of every frame.
//
// inputs [time, hidden] -> logits [vocabulary], hidden state after the final norm [hidden]
// Reference: Qwen3OmniMoeTalkerForConditionalGeneration (model, codec_head, text_projection, hidden_projection).
// The text embedding table is the thinker's; a speech file holds a copy, so that speaking needs no thinker.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "models/code_table.h"
#include "models/decoder_session.h"
#include "models/recently_used.h"
#include "models/rope_positions.h"
#include "models/sampling.h"

namespace omni {

// Ids of the codec vocabulary that are no codes.
struct CodecTokens {
    int32_t eos, bos, pad, nothink, think_bos, think_eos;
};

struct TalkerGeometry {
    DecoderGeometry decoder;
    int64_t         vocab            = 0;  // codes and special ids
    int64_t         suppressed_tail  = 0;  // the top ids that are never spoken, eos excepted
    int64_t         text_vocab       = 0;
    int64_t         thinker_hidden   = 0;
    int64_t         projection_width = 0;

    CodecTokens                    codec{};
    std::map<std::string, int32_t> speakers;
    SamplingParams                 sampling;
    int64_t                        max_frames = 0;
};

// Weights and geometry. Immutable once the weights are loaded, shared by sessions.
class Talker {
  public:
    // Declares its tensors; `keys`: what its keys in the file begin with.
    Talker(std::shared_ptr<Weights> weights, const std::string & keys);

    const TalkerGeometry & geometry() const { return geometry_; }

    const Weights & weights() const { return *weights_; }

    // By which the first code of a frame is read.
    CodeTable code_table() const { return { codec_embedding_, weights_ }; }

  private:
    friend class TalkerSession;

    struct Projection {
        ggml_tensor *fc1 = nullptr, *fc1_bias = nullptr, *fc2 = nullptr, *fc2_bias = nullptr;
    };

    Projection declare_projection(Weights & weights, const std::string & path) const;

    std::shared_ptr<const Weights> weights_;
    TalkerGeometry                 geometry_;
    ggml_tensor *                  embed_tokens_ = nullptr;
    Projection                     text_projection_;
    Projection                     hidden_projection_;
    ggml_tensor *                  codec_embedding_ = nullptr;
    std::vector<DecoderLayer>      layers_;
    ggml_tensor *                  norm_       = nullptr;
    ggml_tensor *                  codec_head_ = nullptr;
};

// For each sequence that was asked: logits [vocab] and hidden [hidden] of its last position.
struct TalkerOutput {
    std::vector<float> logits;
    std::vector<float> hidden;
};

// Caches and graphs of a batch of speeches (one speech is a batch of one). Not for two threads at once.
class TalkerSession {
  public:
    // `tables`: by which the codes of a frame are read. Throws Error(input) for a batch or threads that can't be.
    TalkerSession(std::shared_ptr<const Talker> talker, CodeTables tables, int64_t n_sequences, int n_threads,
                  std::shared_ptr<Probe> probe);

    const Talker & talker() const { return *talker_; }

    int64_t n_groups() const { return (int64_t) tables_.size(); }

    // text_projection(embed_tokens(tokens)): [n, hidden]. Throws Error(input) for ids outside the vocabulary.
    std::vector<float> project_text(const std::vector<int32_t> & tokens);

    // hidden_projection(states): [n, thinker_hidden] -> [n, hidden].
    std::vector<float> project_hidden(const std::vector<float> & states);

    // Rows of the codec embedding: [n, hidden].
    std::vector<float> embed_codec(const std::vector<int32_t> & ids);

    // Appends a run of inputs [n, hidden] to one sequence. `places`: of each in time, height and width; none: one after
    // the other. Logits may be NaN: see check_logits.
    TalkerOutput prompt(int64_t sequence, const std::vector<float> & inputs, const AxisPositions & places = {});

    // Appends a run of n inputs [n, hidden] to each of these different sequences, in one pass over the weights where
    // they lie side by side. Logits may be NaN.
    std::vector<TalkerOutput> prompts(const std::vector<int64_t> &            sequences,
                                      const std::vector<std::vector<float>> & inputs);

    // Appends one frame to each of these sequences, n different ones: the sum of the embeddings of its codes
    // ([n, groups]) plus text ([n, hidden]). The others rest and cost nothing. Logits may be NaN.
    TalkerOutput frame(const std::vector<int64_t> & sequences, const std::vector<int32_t> & codes,
                       const std::vector<float> & text);

    // Every sequence there is.
    std::vector<int64_t> all() const;

    // Lets another speech begin in the place of this one.
    void restart(int64_t sequence) {
        positions_[(size_t) sequence] = 0;
        offsets_[(size_t) sequence]   = {};
    }

    // The same after one that computed NaN.
    void restart_clean(int64_t sequence) {
        restart(sequence);
        cache_.clear(rows_[(size_t) sequence]);
    }

    // Throws Error(numeric) for logits [n, vocab] that are NaN or infinite.
    void check_logits(const std::vector<float> & logits) const;

    // Positions that a sequence can still take.
    int64_t room(int64_t sequence) const { return talker_->geometry().decoder.context - positions_[(size_t) sequence]; }

    int64_t position(int64_t sequence) const { return positions_[(size_t) sequence]; }

    size_t cache_nbytes() const { return cache_.nbytes(); }

  private:
    struct Built;

    void          check_sequences(const std::vector<int64_t> & sequences) const;
    void          check_frame(int64_t n, const std::vector<int32_t> & codes, const std::vector<float> & text) const;
    void          move_to_front(const std::vector<int64_t> & sequences);
    ggml_tensor * decode(Graph & graph, ggml_tensor * x, const KvInputs & kv) const;
    void          finish_graph(Built & built, ggml_tensor * x) const;
    TalkerOutput  result(Built & built) const;
    void          check_places(const AxisPositions & places, int64_t n) const;
    std::shared_ptr<Built> build_prompt(int64_t row, int64_t n_rows, int64_t n, int64_t slots, bool three_axes);
    TalkerOutput prompts_side_by_side(const std::vector<int64_t> & sequences, const std::vector<float> & inputs,
                                      int64_t n);
    std::shared_ptr<Built> build_frame(int64_t n, int64_t slots);
    Built &                frame_graph(int64_t n, int64_t slots);
    std::vector<float>     project(const std::string & path, const Talker::Projection & projection,
                                   const std::vector<int32_t> * tokens, const std::vector<float> * states);

    std::shared_ptr<const Talker> talker_;
    CodeTables                    tables_;
    int64_t                       n_sequences_;
    std::shared_ptr<Probe>        probe_;
    Backends                      backends_;
    GrowingCache                  cache_;
    std::vector<int64_t>          positions_;
    std::vector<RopeOffset>       offsets_;
    std::vector<int64_t>          rows_;  // where in the cache a sequence lies: those of a frame lie in front

    RecentlyUsed<std::shared_ptr<Built>> frame_graphs_{ k_batch_sizes };  // by how many speak
};

}  // namespace omni

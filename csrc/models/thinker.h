// The thinker: a causal mixture-of-experts language model.
//
// tokens [time], and what encoders made of audio and images in their places -> logits [time, vocabulary], hidden states
// [time, hidden]
// Reference: Qwen3OmniMoeThinkerTextModel and Qwen3OmniMoeThinkerForConditionalGeneration.lm_head.
// Files: llama.cpp's `qwen3vlmoe` layout and names; probes use the Hugging Face paths all the same.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "models/decoder_session.h"
#include "models/rope_positions.h"
#include "models/sampling.h"

namespace omni {

struct ThinkerGeometry {
    DecoderGeometry decoder;
    int64_t         vocab = 0;
    SamplingParams  sampling;
    int64_t         accept_layer = -1;  // of hidden_states, the entry a talker reads; -1: not known
};

// Weights and geometry. Immutable after construction, shared by sessions.
class Thinker {
  public:
    // `map`: see Weights.
    Thinker(const std::string & path, const std::string & device, bool map);

    // The same from an open file, in llama.cpp's layout or planned into it.
    Thinker(std::shared_ptr<const GgufFile> file, const std::string & device, bool map,
            const LoadProgress & progress = {});

    // Throws what loading would throw, short of reading values. Allocates next to nothing.
    static void check(std::shared_ptr<const GgufFile> file);

    const ThinkerGeometry & geometry() const { return geometry_; }

    // Throws Error(file) where the file was cut since.
    void check_intact() const { weights_->check_intact(); }

    const GgufFile & file() const { return weights_->file(); }

    ggml_backend_dev_t device() const { return device_; }

    size_t nbytes() const { return weights_->nbytes(); }

  private:
    Thinker(std::shared_ptr<const GgufFile> file, ggml_backend_dev_t device, bool map);

    friend class ThinkerSession;

    ggml_backend_dev_t        device_;
    ThinkerGeometry           geometry_;
    std::unique_ptr<Weights>  weights_;
    ggml_tensor *             embed_tokens_ = nullptr;
    std::vector<DecoderLayer> layers_;
    ggml_tensor *             norm_    = nullptr;
    ggml_tensor *             lm_head_ = nullptr;
};

// What takes the place of a run's placeholders.
struct ThinkerMedia {
    std::vector<int64_t>            at;         // which tokens of the run, ascending
    std::vector<float>              rows;       // [at, hidden], in the place of their embeddings
    std::vector<std::vector<float>> deepstack;  // [at, hidden] each, added behind layers 0, 1, ...; zeros for audio
    AxisPositions                   positions;  // of all tokens of the run; none: one after the other

    bool empty() const { return at.empty() && positions.empty(); }
};

struct ThinkerOutput {
    std::vector<float> logits;  // [n, vocab], n = 1 or all tokens
    std::vector<float> hidden;  // [time, hidden]: hidden_states[accept_layer]; empty unless asked for
};

// One conversation: its cache and graphs. Not for two threads at once.
class ThinkerSession {
  public:
    ThinkerSession(std::shared_ptr<const Thinker> model, int n_threads, std::shared_ptr<Probe> probe);

    const Thinker & thinker() const { return *model_; }

    // Appends tokens. Throws Error(input) for ids outside the vocabulary, more tokens than the model's context, or
    // media that don't fit them.
    ThinkerOutput forward(const std::vector<int32_t> & tokens, bool all_logits, bool want_hidden,
                          const ThinkerMedia & media = {});

    // Forgets all positions from `position` on. Throws Error(input) for one that there isn't, or within a run with
    // images.
    void truncate(int64_t position);

    int64_t position() const { return position_; }

    // Has the context no room for another token?
    bool full() const { return position_ >= model_->geometry().decoder.context; }

  private:
    struct Built;
    struct Stretch;

    // What a graph computes; another is built where this differs.
    struct Form {
        bool   all_logits  = false;
        bool   want_hidden = false;
        bool   media       = false;
        size_t n_deepstack = 0;
        bool   three_axes  = false;

        bool operator==(const Form & other) const {
            return all_logits == other.all_logits && want_hidden == other.want_hidden && media == other.media &&
                   n_deepstack == other.n_deepstack && three_axes == other.three_axes;
        }
    };

    Built & graph_for(int64_t n_tokens, const Form & form);
    void    build(Built & built) const;
    void    check_media(const ThinkerMedia & media, int64_t n_tokens) const;
    void    set_media(Built & built, const ThinkerMedia & media, int64_t first, int64_t n) const;
    void    set_positions(Built & built, const ThinkerMedia & media, int64_t first, int64_t n) const;
    void    forward_stretch(const Stretch & stretch, const Form & form, ThinkerOutput & out);

    std::shared_ptr<const Thinker> model_;
    std::shared_ptr<Probe>         probe_;
    Backends                       backends_;
    GrowingCache                   cache_;
    std::shared_ptr<Built>         built_;
    int64_t                        position_ = 0;
    RopeOffset                     offset_;
};

}  // namespace omni

// The thinker: a causal mixture-of-experts language model (text part).
//
// tokens [time] -> logits [time, vocabulary], hidden states [time, hidden]
// Reference: Qwen3OmniMoeThinkerTextModel and Qwen3OmniMoeThinkerForConditionalGeneration.lm_head.
// Files: llama.cpp's `qwen3vlmoe` layout and names; probes use the Hugging Face paths all the same.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "models/decoder_session.h"
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
    Thinker(std::shared_ptr<const GgufFile> file, const std::string & device, bool map);

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

struct ThinkerOutput {
    std::vector<float> logits;  // [n, vocab], n = 1 or all tokens
    std::vector<float> hidden;  // [time, hidden]: hidden_states[accept_layer]; empty unless asked for
};

// One conversation: its cache and graphs. Not for two threads at once.
class ThinkerSession {
  public:
    ThinkerSession(std::shared_ptr<const Thinker> model, int n_threads, std::shared_ptr<Probe> probe);

    const Thinker & thinker() const { return *model_; }

    // Appends tokens. Throws Error(input) for ids outside the vocabulary or more tokens than the model's context.
    ThinkerOutput forward(const std::vector<int32_t> & tokens, bool all_logits, bool want_hidden);

    // Forgets all positions from `position` on.
    void truncate(int64_t position);

    int64_t position() const { return position_; }

    // Has the context no room for another token?
    bool full() const { return position_ >= model_->geometry().decoder.context; }

  private:
    struct Built;

    const Built & graph_for(int64_t n_tokens, bool all_logits, bool want_hidden);
    void          forward_batch(const int32_t * tokens, int64_t n, bool all_logits, bool want_hidden, bool want_logits,
                                ThinkerOutput & out);

    std::shared_ptr<const Thinker> model_;
    std::shared_ptr<Probe>         probe_;
    Backends                       backends_;
    GrowingCache                   cache_;
    std::shared_ptr<Built>         built_;
    int64_t                        position_ = 0;
};

}  // namespace omni

// The code predictor: from the talker's hidden state and the first code of a frame, the other codes, one per step.
//
// step 0: [hidden state, embedding of code 0] -> logits of code 1; step k: embedding of code k -> logits of code k + 1
// Reference: Qwen3OmniMoeTalkerCodePredictorModelForConditionalGeneration.
#pragma once

#include <memory>
#include <vector>

#include "models/decoder.h"
#include "models/talker.h"

namespace omni {

struct CodePredictorGeometry {
    DecoderGeometry decoder;
    int64_t         n_groups = 0;  // codes of a frame, the talker's included
    int64_t         vocab    = 0;  // codes of a group
    SamplingParams  sampling;
};

// Weights and geometry; a part of SpeechModel.
class CodePredictor {
  public:
    explicit CodePredictor(Weights & weights);

    const CodePredictorGeometry & geometry() const { return geometry_; }

    // The table of group `group + 1`.
    ggml_tensor * codec_embedding(int64_t group) const { return codec_embedding_[(size_t) group]; }

  private:
    friend class CodePredictorSession;

    CodePredictorGeometry      geometry_;
    std::vector<ggml_tensor *> codec_embedding_;
    std::vector<DecoderLayer>  layers_;
    ggml_tensor *              norm_ = nullptr;
    std::vector<ggml_tensor *> lm_head_;
};

// Graphs of the steps of a frame, for a batch of speeches. Not for two threads at once.
class CodePredictorSession {
  public:
    CodePredictorSession(std::shared_ptr<const SpeechModel> model, int64_t n_sequences, int n_threads,
                         std::shared_ptr<Probe> probe);

    // Starts a frame: talker hidden states [n_sequences, hidden] and first codes [n_sequences].
    // Returns logits [n_sequences, vocab] of code 1.
    std::vector<float> start(const std::vector<float> & hidden, const std::vector<int32_t> & codes);

    // Feeds the codes just chosen [n_sequences]; returns logits of the next group. At most n_groups - 2 times a frame.
    std::vector<float> next(const std::vector<int32_t> & codes);

  private:
    struct Built;

    std::shared_ptr<Built> build(int64_t step);
    std::vector<float>     compute(Built & built);

    std::shared_ptr<const SpeechModel>  model_;
    const CodePredictor &               predictor_;
    int64_t                             n_sequences_;
    std::shared_ptr<Probe>              probe_;
    Backends                            backends_;
    KvCache                             cache_;
    std::vector<std::shared_ptr<Built>> steps_;
    int64_t                             step_ = 0;
};

}  // namespace omni

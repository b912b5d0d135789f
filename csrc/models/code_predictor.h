// The code predictor: from the talker's hidden state and the first code of a frame, the other codes, one per step.
//
// step 0: [hidden state, embedding of code 0] -> logits of code 1; step k: embedding of code k -> logits of code k + 1
// Reference: Qwen3OmniMoeTalkerCodePredictorModelForConditionalGeneration.
#pragma once

#include <memory>
#include <vector>

#include "models/code_table.h"
#include "models/decoder_session.h"
#include "models/recently_used.h"
#include "models/sampling.h"

namespace omni {

struct CodePredictorGeometry {
    DecoderGeometry decoder;
    int64_t         n_groups = 0;  // codes of a frame, the talker's included
    int64_t         vocab    = 0;  // codes of a group
    SamplingParams  sampling;
};

// Weights and geometry. Immutable once the weights are loaded, shared by sessions.
class CodePredictor {
  public:
    // Declares its tensors; `keys`: what its keys in the file begin with.
    CodePredictor(std::shared_ptr<Weights> weights, const std::string & keys);

    const CodePredictorGeometry & geometry() const { return geometry_; }

    const Weights & weights() const { return *weights_; }

    // By which the codes of groups 1 to G-1 are read.
    CodeTables code_tables() const;

  private:
    friend class CodePredictorSession;

    std::shared_ptr<const Weights> weights_;
    CodePredictorGeometry          geometry_;
    std::vector<ggml_tensor *>     codec_embedding_;
    std::vector<DecoderLayer>      layers_;
    ggml_tensor *                  norm_ = nullptr;
    std::vector<ggml_tensor *>     lm_head_;
};

// Graphs of the steps of a frame, for a batch of speeches. Not for two threads at once.
class CodePredictorSession {
  public:
    // `first`: by which the codes of group 0 are read. Throws Error(input) for a batch or threads that can't be.
    CodePredictorSession(std::shared_ptr<const CodePredictor> predictor, CodeTable first, int64_t n_sequences,
                         int n_threads, std::shared_ptr<Probe> probe);

    const CodePredictor & predictor() const { return *predictor_; }

    // Starts a frame of n speeches, 1 to n_sequences: talker hidden states [n, hidden] and first codes [n].
    // Returns logits [n, vocab] of code 1, which may be NaN: see check_logits.
    std::vector<float> start(const std::vector<float> & hidden, const std::vector<int32_t> & codes);

    // Feeds the codes just chosen [n]; returns logits of the next group. At most n_groups - 2 times a frame.
    std::vector<float> next(const std::vector<int32_t> & codes);

    // What was computed before, after a frame with NaN: see KvCache::clear.
    void forget() const;

    // Throws Error(numeric) for logits [n, vocab] that are NaN or infinite.
    void check_logits(const std::vector<float> & logits) const;

  private:
    struct Built;
    using Steps = std::vector<std::shared_ptr<Built>>;

    std::shared_ptr<Built> build(int64_t step);
    Steps &                steps();
    std::vector<float>     compute(Built & built);
    void                   check_codes(const std::vector<int32_t> & codes, int64_t size) const;

    std::shared_ptr<const CodePredictor> predictor_;
    CodeTable                            first_;
    int64_t                              n_sequences_;
    std::shared_ptr<Probe>               probe_;
    Backends                             backends_;
    KvCache                              cache_;
    RecentlyUsed<Steps>                  steps_{ k_batch_sizes };  // by how many speak
    int64_t                              n_    = 0;                // of the frame that was started
    int64_t                              step_ = 0;
};

}  // namespace omni

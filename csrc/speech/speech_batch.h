// The frame loop: talker and code predictor in turn, one frame of codes after another, for speeches side by side.
#pragma once

#include <memory>
#include <vector>

#include "speech/speech_state.h"

namespace omni {

// A number of slots in which speeches are spoken together: one read of the weights serves all. Each says what it says
// alone. Not for two threads at once; any number of batches may share a model.
class SpeechBatch {
  public:
    SpeechBatch(std::shared_ptr<const SpeechModel> model, int64_t n_slots, int n_threads, std::shared_ptr<Probe> probe);

    int64_t n_slots() const { return (int64_t) states_.size(); }

    // A speech in a slot that is free or whose speech has ended.
    void begin(int64_t slot, const SpeechParams & params, TalkerPrompt prompt);

    // The same, from tokens. See assemble_prompt.
    void begin(int64_t slot, const SpeechParams & params, const std::vector<int32_t> & conversation,
               const std::vector<int32_t> & answer, int32_t speaker, const std::vector<float> & thinker_hidden);

    // The next frame of every speech that goes on, [groups] each; empty for those that don't.
    std::vector<std::vector<int32_t>> step();

    bool speaking() const;

    void cancel();

    // Of the speech in a slot; none where there was none yet. Throws Error(input) for a slot there isn't.
    StopReason stop_reason(int64_t slot) const;
    int64_t    n_frames(int64_t slot) const;

  private:
    const SpeechState * state_in(int64_t slot) const;

    bool goes_on(size_t slot) const;
    void check_room(int64_t slot, const SpeechState & state) const;
    void stop_at_limits();
    void read_frames();
    void complete_frames(std::vector<std::vector<int32_t>> & frames);

    std::shared_ptr<const SpeechModel>        model_;
    TalkerSession                             talker_;
    CodePredictorSession                      predictor_;
    std::vector<std::unique_ptr<SpeechState>> states_;
};

}  // namespace omni

// The frame loop of a single speech.
#pragma once

#include <functional>

#include "speech/speech_batch.h"

namespace omni {

// One speech: a batch of one.
class Speech {
  public:
    Speech(std::shared_ptr<const SpeechModel> model, SpeechParams params, int n_threads, std::shared_ptr<Probe> probe);

    // What to speak; once. See assemble_prompt.
    void begin(const std::vector<int32_t> & conversation, const std::vector<int32_t> & answer, int32_t speaker,
               const std::vector<float> & thinker_hidden);

    // The same, from inputs assembled elsewhere.
    void begin(TalkerPrompt prompt);

    // Up to n further frames, [groups, frames]; fewer when the speech ends. `cancelled` is asked once a frame.
    std::vector<int32_t> frames(int64_t n, const std::function<bool()> & cancelled);

    StopReason stop_reason() const { return batch_.stop_reason(0); }

    int64_t n_frames() const { return batch_.n_frames(0); }

  private:
    void check_not_begun() const;

    std::shared_ptr<const SpeechModel> model_;

    SpeechParams params_;
    SpeechBatch  batch_;
    bool         begun_ = false;
};

}  // namespace omni

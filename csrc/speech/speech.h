// The frame loop: talker and code predictor in turn, one frame of codes after another.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "models/speech_model.h"
#include "speech/prompt.h"
#include "speech/sampler.h"

namespace omni {

struct SpeechParams {
    SamplingParams talker;
    SamplingParams predictor;
    uint64_t       seed       = 0;
    int64_t        max_frames = 4096;
    bool           ignore_eos = false;  // speak on to max_frames: for measuring
};

// The model file's own defaults.
SpeechParams default_speech_params(const SpeechModel & model);

enum class StopReason { none, eos, frame_limit, cancelled };

// One speech. Not for two threads at once; any number of speeches may share a model.
class Speech {
  public:
    Speech(std::shared_ptr<const SpeechModel> model, SpeechParams params, int n_threads, std::shared_ptr<Probe> probe);

    // What to speak; once. See assemble_prompt.
    void begin(const std::vector<int32_t> & conversation, const std::vector<int32_t> & answer, int32_t speaker,
               const std::vector<float> & thinker_hidden);

    // The same, from inputs assembled elsewhere.
    void begin(TalkerPrompt prompt);

    // Up to n further frames, [frames, groups]; fewer when the speech ends. `cancelled` is asked once a frame.
    std::vector<int32_t> frames(int64_t n, const std::function<bool()> & cancelled);

    StopReason stop_reason() const { return stop_; }

    int64_t n_frames() const { return n_frames_; }

  private:
    bool                 next_first_code();
    std::vector<int32_t> complete_frame();
    void                 advance();
    void                 check_room() const;
    void                 suppress(std::vector<float> & logits) const;

    std::shared_ptr<const SpeechModel> model_;
    SpeechParams                       params_;
    Sampler                            talker_sampler_;
    Sampler                            predictor_sampler_;
    TalkerSession                      talker_;
    CodePredictorSession               predictor_;
    TalkerPrompt                       prompt_;
    TalkerOutput                       latest_;
    std::vector<int32_t>               first_codes_;
    std::vector<int32_t>               unread_;  // the newest frame, until the talker reads it
    bool                               begun_    = false;
    int64_t                            n_frames_ = 0;
    StopReason                         stop_     = StopReason::none;
};

}  // namespace omni

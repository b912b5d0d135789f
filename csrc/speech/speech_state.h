// One speech: its text, what it has said, and the drawing of what it says next.
#pragma once

#include <vector>

#include "speech/prompt.h"
#include "speech/sampler.h"
#include "speech/speech_model.h"

namespace omni {

struct SpeechParams {
    SamplingParams talker;
    SamplingParams predictor;
    uint64_t       seed       = 0;
    int64_t        max_frames = 4096;
    bool           ignore_eos = false;  // never end before max_frames
};

// The model file's own defaults.
SpeechParams default_speech_params(const SpeechModel & model);

enum class StopReason { none, eos, frame_limit, context_full, cancelled };

class SpeechState {
  public:
    // Throws Error(input) for parameters that make no sense.
    SpeechState(const SpeechModel & model, const SpeechParams & params);

    // Throws Error(input) for arrays of a wrong shape.
    void begin(TalkerPrompt prompt);

    // Positions that the prompt takes and the text needs at least.
    int64_t least_positions() const;

    const std::vector<float> & inputs() const { return prompt_.inputs; }

    // The frame that the talker hasn't read yet, and the text that enters with it, [hidden]; empty when there is none.
    const std::vector<int32_t> & unread() const { return unread_; }

    std::vector<float> text() const;

    // What the talker made of the prompt or of the unread frame.
    void read(std::vector<float> logits, std::vector<float> hidden);

    // Draws code 0 of the next frame; false at the end of the speech.
    bool draw_first();

    int32_t first_code() const { return first_codes_.back(); }

    const std::vector<float> & hidden() const { return hidden_; }

    // Draws the code of a further group, 1 to G-1.
    int32_t draw(std::vector<float> logits, int64_t group) const;

    void finish_frame(std::vector<int32_t> frame);

    bool at_limit() const { return n_frames_ >= params_.max_frames; }

    void stop(StopReason reason) { stop_ = reason; }

    StopReason stop_reason() const { return stop_; }

    int64_t n_frames() const { return n_frames_; }

  private:
    void suppress();

    const SpeechModel *  model_;
    SpeechParams         params_;
    Sampler              talker_sampler_;
    Sampler              predictor_sampler_;
    TalkerPrompt         prompt_;
    std::vector<float>   logits_;
    std::vector<float>   hidden_;
    std::vector<int32_t> first_codes_;
    std::vector<int32_t> unread_;
    int64_t              n_frames_ = 0;
    StopReason           stop_     = StopReason::none;
};

}  // namespace omni

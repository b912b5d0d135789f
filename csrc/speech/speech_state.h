// One speech: its prompt and text, what it has said, and the drawing of what it says next.
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

enum class StopReason { none, eos, frame_limit, context_full, cancelled, failed };

class SpeechState {
  public:
    // Throws Error(input) for parameters that make no sense.
    SpeechState(const SpeechModel & model, const SpeechParams & params, PromptReading prompt);

    PromptReading & prompt() { return prompt_; }

    const PromptReading & prompt() const { return prompt_; }

    // Further text that enters with the frames, [n, hidden], and what enters once it is used up, [hidden].
    void add_text(const std::vector<float> & rows);
    void finish_text(std::vector<float> pad);

    // Whether the text of the next frame is there. The first frame has it in the prompt.
    bool has_text() const;

    // The frame that the talker hasn't read yet, and the text that enters with it, [hidden]; empty when there is none.
    const std::vector<int32_t> & unread() const { return unread_; }

    std::vector<float> text() const;

    // What the talker made of the prompt or of the unread frame. Throws Error(numeric) for NaN and infinity.
    void read(std::vector<float> logits, std::vector<float> hidden);

    // Draws code 0 of the next frame; false at the end of the speech.
    bool draw_first();

    int32_t first_code() const { return first_codes_.back(); }

    const std::vector<float> & hidden() const { return hidden_; }

    // Draws the code of a further group, 1 to G-1. Throws Error(numeric) for NaN and infinity.
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
    PromptReading        prompt_;
    std::vector<float>   trailing_;  // [m, hidden]
    std::vector<float>   pad_;       // [hidden]; empty while more text may come
    std::vector<float>   logits_;
    std::vector<float>   hidden_;
    std::vector<int32_t> first_codes_;
    std::vector<int32_t> unread_;
    int64_t              n_frames_ = 0;
    StopReason           stop_     = StopReason::none;
};

}  // namespace omni

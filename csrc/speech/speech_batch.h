// The frame loop: talker and code predictor in turn, one frame of codes after another, for speeches side by side.
#pragma once

#include <exception>
#include <memory>
#include <vector>

#include "speech/speech_state.h"

namespace omni {

// Seconds that the parts of a frame took.
struct FrameSeconds {
    double talker    = 0;
    double predictor = 0;
    double sampling  = 0;

    double sum() const { return talker + predictor + sampling; }
};

// A number of slots in which speeches are spoken together: one read of the weights serves all. Each says what it says
// alone, whoever else speaks, and only those that take part in a step cost anything. Not for two threads at once.
class SpeechBatch {
  public:
    SpeechBatch(std::shared_ptr<const SpeechModel> model, int64_t n_slots, int n_threads, std::shared_ptr<Probe> probe);

    int64_t n_slots() const { return (int64_t) states_.size(); }

    // A speech in a free slot; nothing of it is computed yet. Throws Error(input) for parameters that make no sense.
    void open(int64_t slot, const SpeechParams & params, PromptReading prompt);

    // Reads up to about n further positions of the prompt of each of them; those with as many at once.
    void read_prompts(const std::vector<int64_t> & slots, int64_t n);

    bool prompt_read(int64_t slot) const { return state(slot).prompt().at_end(); }

    int64_t n_prompt_read(int64_t slot) const { return state(slot).prompt().n_read(); }

    int64_t n_prompt_left(int64_t slot) const { return state(slot).prompt().n_positions() - n_prompt_read(slot); }

    // Text behind the answer's first token, which is in the prompt. Single tokens are as good as many.
    void add_text(int64_t slot, const std::vector<int32_t> & tokens);
    void finish_text(int64_t slot);

    // The same as rows made elsewhere: [m, hidden], and [hidden] for all frames after them.
    void set_text(int64_t slot, const std::vector<float> & rows, std::vector<float> pad);

    // Whether a step can take it further: its prompt is read, the text of its next frame is there, it has not ended.
    bool can_step(int64_t slot) const;

    // The next frame of the speeches in these slots, [groups] each, in their order; empty for those that ended.
    std::vector<std::vector<int32_t>> step(const std::vector<int64_t> & slots);

    // Of the last step.
    const FrameSeconds & seconds() const { return seconds_; }

    // `none` while it goes on; `failed` after `error`.
    StopReason         stop_reason(int64_t slot) const { return state(slot).stop_reason(); }
    std::exception_ptr error(int64_t slot) const { return errors_[(size_t) slot]; }

    // Lets another speech have the slot.
    void close(int64_t slot);

    size_t cache_nbytes() const { return talker_.cache_nbytes(); }

  private:
    SpeechState & state(int64_t slot) const { return *states_[(size_t) slot]; }

    void                              fail(int64_t slot);
    void                              has_read(int64_t slot, TalkerOutput output);
    void                              stop_at_limits(const std::vector<int64_t> & slots);
    std::vector<int64_t>              going_on(const std::vector<int64_t> & slots) const;
    void                              read_frames(const std::vector<int64_t> & slots);
    std::vector<std::vector<int32_t>> draw_frames(const std::vector<int64_t> & slots);
    void complete_frames(std::vector<int64_t> slots, std::vector<std::vector<int32_t>> & frames);

    std::shared_ptr<const SpeechModel>        model_;
    TalkerSession                             talker_;
    CodePredictorSession                      predictor_;
    std::vector<std::unique_ptr<SpeechState>> states_;
    std::vector<std::exception_ptr>           errors_;
    FrameSeconds                              seconds_;
    TextMarks                                 marks_;  // once they are needed
};

}  // namespace omni

#include "speech/speech.h"

#include <algorithm>
#include <limits>

#include "core/error.h"
#include "speech/philox.h"

namespace omni {

SpeechParams default_speech_params(const SpeechModel & model) {
    SpeechParams params;
    params.talker     = model.talker().geometry().sampling;
    params.predictor  = model.predictor().geometry().sampling;
    params.max_frames = model.talker().geometry().max_frames;
    return params;
}

Speech::Speech(std::shared_ptr<const SpeechModel> model, SpeechParams params, int n_threads,
               std::shared_ptr<Probe> probe) :
    model_(model),
    params_(params),
    talker_sampler_(params.talker),
    predictor_sampler_(params.predictor),
    talker_(model, 1, n_threads, probe),
    predictor_(model, 1, n_threads, probe) {
    if (params.max_frames < 0) {
        throw Error(ErrorKind::input,
                    "the frame limit is " + std::to_string(params.max_frames) + "; it must be 0 or more");
    }
}

void Speech::begin(const std::vector<int32_t> & conversation, const std::vector<int32_t> & answer, int32_t speaker,
                   const std::vector<float> & thinker_hidden) {
    begin(assemble_prompt(talker_, model_->talker().geometry(), conversation, answer, speaker, thinker_hidden));
}

void Speech::begin(TalkerPrompt prompt) {
    const auto hidden = (size_t) model_->talker().geometry().decoder.hidden;
    if (begun_) {
        throw Error(ErrorKind::input, "this speech has begun already; make a new one");
    }
    if (prompt.inputs.empty() || prompt.inputs.size() % hidden != 0 || prompt.trailing.size() % hidden != 0 ||
        prompt.pad.size() != hidden) {
        throw Error(ErrorKind::input, "a talker prompt is inputs [n, " + std::to_string(hidden) +
                                          "] with n > 0, trailing [m, " + std::to_string(hidden) + "] and pad [" +
                                          std::to_string(hidden) + "]");
    }
    prompt_ = std::move(prompt);
    check_room();
    latest_ = talker_.prompt(0, prompt_.inputs);
    begun_  = true;
}

// Refuses a text that can't be spoken to its end, before any of it is.
void Speech::check_room() const {
    const auto    hidden   = (size_t) model_->talker().geometry().decoder.hidden;
    const auto    trailing = (int64_t) (prompt_.trailing.size() / hidden);
    const int64_t needed   = (int64_t) (prompt_.inputs.size() / hidden) + std::min(trailing, params_.max_frames);
    const int64_t room     = talker_.room(0);
    if (needed > room) {
        throw Error(ErrorKind::input, "the speech needs " + std::to_string(needed) +
                                          " positions; the talker's context holds " + std::to_string(room) +
                                          "; speak a shorter text");
    }
}

// The ids above the codes are special: they are inputs, never spoken. Reference: `suppress_tokens` in generate.
void Speech::suppress(std::vector<float> & logits) const {
    const TalkerGeometry & g = model_->talker().geometry();
    for (int64_t id = g.vocab - g.suppressed_tail; id < g.vocab; ++id) {
        if (id != g.codec.eos) {
            logits[(size_t) id] = -std::numeric_limits<float>::infinity();
        }
    }
    if (params_.ignore_eos) {
        logits[(size_t) g.codec.eos] = -std::numeric_limits<float>::infinity();
    }
}

// Draws code 0 of the next frame; false at the end of the speech.
bool Speech::next_first_code() {
    suppress(latest_.logits);
    const double  uniform = philox_uniform(params_.seed, (uint64_t) n_frames_, 0);
    const int32_t code    = talker_sampler_.draw(latest_.logits, first_codes_, uniform);
    if (code == model_->talker().geometry().codec.eos) {
        stop_ = StopReason::eos;
        return false;
    }
    first_codes_.push_back(code);
    return true;
}

// Draws codes 1 to G-1.
std::vector<int32_t> Speech::complete_frame() {
    const int64_t        groups = model_->predictor().geometry().n_groups;
    std::vector<int32_t> frame{ first_codes_.back() };
    auto                 logits = predictor_.start(latest_.hidden, frame);
    for (int64_t group = 1; group < groups; ++group) {
        const double uniform = philox_uniform(params_.seed, (uint64_t) n_frames_, (uint64_t) group);
        frame.push_back(predictor_sampler_.draw(std::move(logits), {}, uniform));
        if (group + 1 < groups) {
            logits = predictor_.next({ frame.back() });
        }
    }
    return frame;
}

// The talker reads the newest frame, with the text that belongs to it. Done when the next frame is asked for, so that
// the newest one can be heard first.
void Speech::advance() {
    if (unread_.empty()) {
        return;
    }
    const int64_t      hidden = model_->talker().geometry().decoder.hidden;
    const int64_t      from   = (n_frames_ - 1) * hidden;
    std::vector<float> text   = prompt_.pad;
    if (from < (int64_t) prompt_.trailing.size()) {
        text.assign(prompt_.trailing.begin() + (std::ptrdiff_t) from,
                    prompt_.trailing.begin() + (std::ptrdiff_t) (from + hidden));
    }
    latest_ = talker_.frame(unread_, text);
    unread_.clear();
}

std::vector<int32_t> Speech::frames(int64_t n, const std::function<bool()> & cancelled) {
    if (!begun_) {
        throw Error(ErrorKind::input, "this speech has no text yet");
    }
    std::vector<int32_t> out;
    for (int64_t i = 0; i < n && stop_ == StopReason::none; ++i) {
        // The newest frame is read before the next is drawn, which takes one more position.
        const bool full = !unread_.empty() && talker_.room(0) == 0;
        if (n_frames_ >= params_.max_frames || full) {
            stop_ = StopReason::frame_limit;
        } else if (cancelled && cancelled()) {
            stop_ = StopReason::cancelled;
        } else {
            advance();
            if (next_first_code()) {
                unread_ = complete_frame();
                ++n_frames_;
                out.insert(out.end(), unread_.begin(), unread_.end());
            }
        }
    }
    return out;
}

}  // namespace omni

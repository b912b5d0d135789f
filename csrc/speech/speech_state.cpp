#include "speech/speech_state.h"

#include <algorithm>
#include <limits>
#include <string>

#include "error/error.h"
#include "speech/philox.h"

namespace omni {

SpeechParams default_speech_params(const SpeechModel & model) {
    SpeechParams params;
    params.talker     = model.talker()->geometry().sampling;
    params.predictor  = model.predictor()->geometry().sampling;
    params.max_frames = model.talker()->geometry().max_frames;
    return params;
}

SpeechState::SpeechState(const SpeechModel & model, const SpeechParams & params, PromptReading prompt) :
    model_(&model),
    params_(params),
    talker_sampler_(params.talker),
    predictor_sampler_(params.predictor),
    prompt_(std::move(prompt)) {
    if (params.max_frames < 0) {
        throw Error(ErrorKind::input,
                    "the frame limit is " + std::to_string(params.max_frames) + "; it must be 0 or more");
    }
}

void SpeechState::add_text(const std::vector<float> & rows) {
    trailing_.insert(trailing_.end(), rows.begin(), rows.end());
}

void SpeechState::finish_text(std::vector<float> pad) {
    pad_ = std::move(pad);
}

bool SpeechState::has_text() const {
    const int64_t hidden = model_->talker()->geometry().decoder.hidden;
    return unread_.empty() || !pad_.empty() || n_frames_ * hidden <= (int64_t) trailing_.size();
}

std::vector<float> SpeechState::text() const {
    const int64_t hidden = model_->talker()->geometry().decoder.hidden;
    const int64_t from   = (n_frames_ - 1) * hidden;
    if (from >= (int64_t) trailing_.size()) {
        return pad_;
    }
    const auto begin = trailing_.begin() + (std::ptrdiff_t) from;
    return { begin, begin + (std::ptrdiff_t) hidden };
}

void SpeechState::read(std::vector<float> logits, std::vector<float> hidden) {
    check_logits(logits.data(), logits.size(), "talker", model_->file());
    logits_ = std::move(logits);
    hidden_ = std::move(hidden);
    unread_.clear();
}

// The ids above the codes are special: they are inputs, never spoken. Reference: `suppress_tokens` in generate.
void SpeechState::suppress() {
    const TalkerGeometry & g = model_->talker()->geometry();
    for (int64_t id = g.vocab - g.suppressed_tail; id < g.vocab; ++id) {
        if (id != g.codec.eos) {
            logits_[(size_t) id] = -std::numeric_limits<float>::infinity();
        }
    }
    if (params_.ignore_eos) {
        logits_[(size_t) g.codec.eos] = -std::numeric_limits<float>::infinity();
    }
}

bool SpeechState::draw_first() {
    suppress();
    const double  uniform = philox_uniform(params_.seed, (uint64_t) n_frames_, 0);
    const int32_t code    = talker_sampler_.draw(logits_, first_codes_, uniform);
    if (code == model_->talker()->geometry().codec.eos) {
        stop_ = StopReason::eos;
        return false;
    }
    first_codes_.push_back(code);
    return true;
}

int32_t SpeechState::draw(std::vector<float> logits, int64_t group) const {
    check_logits(logits.data(), logits.size(), "code predictor", model_->file());
    const double uniform = philox_uniform(params_.seed, (uint64_t) n_frames_, (uint64_t) group);
    return predictor_sampler_.draw(std::move(logits), {}, uniform);
}

void SpeechState::finish_frame(std::vector<int32_t> frame) {
    unread_ = std::move(frame);
    ++n_frames_;
}

}  // namespace omni

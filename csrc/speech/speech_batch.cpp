#include "speech/speech_batch.h"

#include <algorithm>
#include <string>

#include "error/error.h"

namespace omni {

namespace {

// Row `index` of [n, width].
std::vector<float> row_of(const std::vector<float> & values, size_t index, int64_t width) {
    const auto begin = values.begin() + (std::ptrdiff_t) index * (std::ptrdiff_t) width;
    return { begin, begin + (std::ptrdiff_t) width };
}

}  // namespace

SpeechBatch::SpeechBatch(std::shared_ptr<const SpeechModel> model, int64_t n_slots, int n_threads,
                         std::shared_ptr<Probe> probe) :
    model_(model),
    talker_(model->talker(), model->code_tables(), n_slots, n_threads, probe),
    predictor_(model->predictor(), model->talker()->code_table(), n_slots, n_threads, probe),
    states_((size_t) n_slots) {}

bool SpeechBatch::goes_on(size_t slot) const {
    return states_[slot] != nullptr && states_[slot]->stop_reason() == StopReason::none;
}

bool SpeechBatch::speaking() const {
    for (size_t i = 0; i < states_.size(); ++i) {
        if (goes_on(i)) {
            return true;
        }
    }
    return false;
}

const SpeechState * SpeechBatch::state_in(int64_t slot) const {
    if (slot < 0 || slot >= n_slots()) {
        throw Error(ErrorKind::input, "there is no slot " + std::to_string(slot));
    }
    return states_[(size_t) slot].get();
}

StopReason SpeechBatch::stop_reason(int64_t slot) const {
    const SpeechState * state = state_in(slot);
    return state != nullptr ? state->stop_reason() : StopReason::none;
}

int64_t SpeechBatch::n_frames(int64_t slot) const {
    const SpeechState * state = state_in(slot);
    return state != nullptr ? state->n_frames() : 0;
}

void SpeechBatch::begin(int64_t slot, const SpeechParams & params, const std::vector<int32_t> & conversation,
                        const std::vector<int32_t> & answer, int32_t speaker,
                        const std::vector<float> & thinker_hidden) {
    begin(slot, params,
          assemble_prompt(talker_, model_->talker()->geometry(), model_->text_tokens(), conversation, answer, speaker,
                          thinker_hidden));
}

void SpeechBatch::begin(int64_t slot, const SpeechParams & params, TalkerPrompt prompt) {
    if (slot < 0 || slot >= n_slots() || goes_on((size_t) slot)) {
        throw Error(ErrorKind::input, "slot " + std::to_string(slot) + " of " + std::to_string(n_slots()) +
                                          " is not free; let its speech end, or choose another");
    }
    auto state = std::make_unique<SpeechState>(*model_, params);
    state->begin(std::move(prompt));
    talker_.restart(slot);
    check_room(slot, *state);
    auto read = talker_.prompt(slot, state->inputs());
    state->read(std::move(read.logits), std::move(read.hidden));
    states_[(size_t) slot] = std::move(state);
}

// Refuses a text that can't be spoken to its end, before any of it is.
void SpeechBatch::check_room(int64_t slot, const SpeechState & state) const {
    const int64_t needed = state.least_positions();
    const int64_t room   = talker_.room(slot);
    if (needed > room) {
        throw Error(ErrorKind::input, "the speech needs " + std::to_string(needed) +
                                          " positions; the talker's context holds " + std::to_string(room) +
                                          "; speak a shorter text");
    }
}

void SpeechBatch::stop_at_limits() {
    for (size_t i = 0; i < states_.size(); ++i) {
        if (!goes_on(i)) {
            continue;
        }
        // The newest frame is read before the next is drawn, which takes one more position.
        const bool full = !states_[i]->unread().empty() && talker_.room((int64_t) i) == 0;
        if (states_[i]->at_limit()) {
            states_[i]->stop(StopReason::frame_limit);
        } else if (full) {
            states_[i]->stop(StopReason::context_full);
        }
    }
}

void SpeechBatch::cancel() {
    for (size_t i = 0; i < states_.size(); ++i) {
        if (goes_on(i)) {
            states_[i]->stop(StopReason::cancelled);
        }
    }
}

// The talker reads the newest frames, each with the text that belongs to it. Done when the next are asked for, so that
// the newest can be heard first.
void SpeechBatch::read_frames() {
    const auto           hidden = (size_t) model_->talker()->geometry().decoder.hidden;
    const auto           groups = (size_t) model_->predictor()->geometry().n_groups;
    std::vector<int32_t> codes(groups * states_.size(), 0);
    std::vector<float>   text(hidden * states_.size(), 0.0f);
    std::vector<bool>    active(states_.size(), false);
    for (size_t i = 0; i < states_.size(); ++i) {
        if (goes_on(i) && !states_[i]->unread().empty()) {
            active[i]       = true;
            const auto said = states_[i]->text();
            std::copy(said.begin(), said.end(), text.begin() + (std::ptrdiff_t) (i * hidden));
            std::copy(states_[i]->unread().begin(), states_[i]->unread().end(),
                      codes.begin() + (std::ptrdiff_t) (i * groups));
        }
    }
    if (std::find(active.begin(), active.end(), true) == active.end()) {
        return;
    }
    const auto output = talker_.frame(codes, text, active);
    for (size_t i = 0; i < states_.size(); ++i) {
        if (active[i]) {
            states_[i]->read(row_of(output.logits, i, model_->talker()->geometry().vocab),
                             row_of(output.hidden, i, (int64_t) hidden));
        }
    }
}

// Codes 1 to G-1 of every frame that has its first code. The other slots go along with zeros.
void SpeechBatch::complete_frames(std::vector<std::vector<int32_t>> & frames) {
    const int64_t        groups = model_->predictor()->geometry().n_groups;
    const int64_t        vocab  = model_->predictor()->geometry().vocab;
    const auto           width  = (size_t) model_->talker()->geometry().decoder.hidden;
    std::vector<float>   hidden(width * states_.size(), 0.0f);
    std::vector<int32_t> codes(states_.size(), 0);
    for (size_t i = 0; i < states_.size(); ++i) {
        if (!frames[i].empty()) {
            codes[i] = frames[i].front();
            std::copy(states_[i]->hidden().begin(), states_[i]->hidden().end(),
                      hidden.begin() + (std::ptrdiff_t) (i * width));
        }
    }
    auto logits = predictor_.start(hidden, codes);
    for (int64_t group = 1; group < groups; ++group) {
        for (size_t i = 0; i < states_.size(); ++i) {
            if (!frames[i].empty()) {
                codes[i] = states_[i]->draw(row_of(logits, i, vocab), group);
                frames[i].push_back(codes[i]);
            }
        }
        if (group + 1 < groups) {
            logits = predictor_.next(codes);
        }
    }
}

std::vector<std::vector<int32_t>> SpeechBatch::step() {
    std::vector<std::vector<int32_t>> frames(states_.size());
    stop_at_limits();
    read_frames();
    bool any = false;
    for (size_t i = 0; i < states_.size(); ++i) {
        if (goes_on(i) && states_[i]->draw_first()) {
            frames[i] = { states_[i]->first_code() };
            any       = true;
        }
    }
    if (any) {
        complete_frames(frames);
    }
    for (size_t i = 0; i < states_.size(); ++i) {
        if (!frames[i].empty()) {
            states_[i]->finish_frame(frames[i]);
        }
    }
    return frames;
}

}  // namespace omni

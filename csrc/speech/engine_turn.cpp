// What a turn computes, in the engine's thread and without the lock.
#include "speech/engine_core.h"

#include <algorithm>
#include <utility>

#include "speech/engine_time.h"

namespace omni {

namespace {

constexpr int64_t k_first_prompt = 16;  // positions, while nothing is known of their time

}  // namespace

void EngineCore::compute(const Turn & turn) {
    for (const auto & opening : turn.opening) {
        open(opening);
    }
    for (const auto & text : turn.text) {
        give_text(text);
    }
    if (!turn.prompts.empty()) {
        read_prompts(turn);
    }
    if (!turn.stepping.empty()) {
        step(turn);
    }
}

void EngineCore::fail(const Job & job, int64_t slot, std::exception_ptr error) {
    if (job->opened) {
        batch_->close(slot);
    }
    const Lock lock(mutex_);
    job->works.clear();
    if (!job->said_all) {
        say_last(*job, StopReason::failed, std::move(error));
    }
    leave_slot(slot);
}

void EngineCore::open(const Turn::Opening & opening) {
    SpeechRequest & r = opening.job->request;
    try {
        if (r.prompt) {
            batch_->open(opening.slot, r.params,
                         PromptReading(*model_->talker(), std::move(r.prompt->inputs), std::move(r.prompt->places)));
            opening.job->opened = true;
            batch_->set_text(opening.slot, r.prompt->trailing, r.prompt->pad);
            opening.job->all_given = true;
        } else {
            batch_->open(opening.slot, r.params,
                         PromptReading(*model_->talker(), model_->text_tokens(), r.conversation, opening.first,
                                       opening.alone, r.speaker, opening.ahead ? r.thinker : std::move(r.thinker)));
            opening.job->opened  = true;
            opening.job->n_given = 1;
        }
        const Lock lock(mutex_);
        opening.job->timings.prompt_positions = opening.job->prompt_positions;
    } catch (...) {
        fail(opening.job, opening.slot, std::current_exception());
    }
}

void EngineCore::give_text(const Turn::Text & text) {
    const auto start = EngineClock::now();
    try {
        batch_->add_text(text.slot, text.tokens);
        text.job->n_given += text.tokens.size();
        if (text.last) {
            batch_->finish_text(text.slot);
            text.job->all_given = true;
        }
        const Lock lock(mutex_);
        text.job->timings.prompt += seconds_since(start);
    } catch (...) {
        fail(text.job, text.slot, std::current_exception());
    }
}

// At most as many positions as take the time of a frame, where somebody speaks who would wait for more.
void EngineCore::read_prompts(const Turn & turn) {
    std::vector<int64_t> slots;
    for (const int64_t slot : turn.prompts) {
        if (slots_[(size_t) slot]) {
            slots.push_back(slot);
        }
    }
    if (slots.empty()) {
        return;
    }
    int64_t n = k_whole_prompt;
    if (turn.others) {
        const double fit = position_seconds_ > 0 ? frame_seconds_ / position_seconds_ : (double) k_first_prompt;
        n                = std::clamp<int64_t>((int64_t) fit, 2, k_whole_prompt);
    }
    const auto    start = EngineClock::now();
    const int64_t from  = batch_->n_prompt_read(slots.front());
    try {
        batch_->read_prompts(slots, n);
    } catch (...) {
        for (const int64_t slot : slots) {
            fail(slots_[(size_t) slot], slot, std::current_exception());
        }
        return;
    }
    const double took = seconds_since(start);
    if (turn.others) {
        // Of pieces of that size alone: in a long stretch a position takes a fraction of the time.
        learn(position_seconds_, took / (double) std::max<int64_t>(1, batch_->n_prompt_read(slots.front()) - from));
    }
    cache_nbytes_ = batch_->cache_nbytes();
    for (const int64_t slot : slots) {
        const Job job = slots_[(size_t) slot];
        {
            const Lock lock(mutex_);
            job->timings.prompt += took;
        }
        if (batch_->error(slot)) {
            fail(job, slot, batch_->error(slot));
        }
    }
}

void EngineCore::step(const Turn & turn) {
    const auto frames  = batch_->step(turn.stepping);
    const auto seconds = batch_->seconds();
    cache_nbytes_      = batch_->cache_nbytes();
    learn(frame_seconds_, seconds.sum());
    std::vector<int64_t> failed;
    {
        const Lock lock(mutex_);
        for (size_t i = 0; i < turn.stepping.size(); ++i) {
            const int64_t slot = turn.stepping[i];
            SpeechJob &   job  = *slots_[(size_t) slot];
            job.timings.talker += seconds.talker;
            job.timings.predictor += seconds.predictor;
            job.timings.sampling += seconds.sampling;
            if (batch_->error(slot)) {
                failed.push_back(slot);
                continue;
            }
            if (!frames[i].empty()) {
                job.timings.frame_seconds.push_back((float) seconds.sum());
                add_frame(job, frames[i]);
            }
            const StopReason stop = batch_->stop_reason(slot);
            if (stop != StopReason::none || job.n_pending >= job.piece_size()) {
                send(job, stop);
            }
            if (stop != StopReason::none) {
                batch_->close(slot);
                leave_slot(slot);
            }
        }
    }
    for (const int64_t slot : failed) {
        fail(slots_[(size_t) slot], slot, batch_->error(slot));
    }
}

}  // namespace omni

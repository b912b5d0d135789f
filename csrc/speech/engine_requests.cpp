// What a listener asks of the engine, in any thread.
#include "speech/engine_core.h"

#include <algorithm>
#include <utility>

#include "error/error.h"
#include "speech/engine_time.h"

namespace omni {

void EngineCore::check(const SpeechRequest & request) const {
    const TalkerGeometry & geometry = model_->talker()->geometry();
    SpeechState(*model_, request.params,
                PromptReading(*model_->talker(), std::vector<float>((size_t) geometry.decoder.hidden)));
    if (request.piece_frames.empty() ||
        *std::min_element(request.piece_frames.begin(), request.piece_frames.end()) < 1 ||
        request.buffered_frames < 0) {
        throw Error(ErrorKind::input, "a piece of audio has 1 frame or more, and 0 or more are buffered");
    }
    if (request.prompt) {
        return;
    }
    if (request.speaker.ids.empty() && request.speaker.vector.empty()) {
        throw Error(ErrorKind::input, "this speech has no speaker; name one");
    }
    check_ids(request.speaker.ids, geometry.vocab, "codec id");
    check_ids(request.text, geometry.text_vocab, "vocabulary token id");
    if (request.text.empty() && request.finished) {
        throw Error(ErrorKind::input, "there is no text to speak");
    }
}

// Refuses a text that can't be spoken to its end, before any of it is.
void EngineCore::check_room(const SpeechJob & job, size_t n_tokens) const {
    const int64_t context = model_->talker()->geometry().decoder.context;
    const int64_t needed  = job.prompt_positions + std::min((int64_t) n_tokens, job.request.params.max_frames);
    if (needed > context) {
        throw Error(ErrorKind::input, "the speech needs " + std::to_string(needed) +
                                          " positions; the talker's context holds " + std::to_string(context) +
                                          "; speak a shorter text");
    }
}

std::shared_ptr<SpeechJob> EngineCore::begin(SpeechRequest request) {
    check(request);
    auto job                = std::make_shared<SpeechJob>();
    job->request            = std::move(request);
    const SpeechRequest & r = job->request;
    if (r.prompt) {
        const PromptReading reading(*model_->talker(), r.prompt->inputs, r.prompt->places);
        const auto          hidden = (size_t) model_->talker()->geometry().decoder.hidden;
        if (r.prompt->trailing.size() % hidden != 0 || r.prompt->pad.size() != hidden) {
            throw Error(ErrorKind::input, "the text of a talker prompt is trailing [m, " + std::to_string(hidden) +
                                              "] and pad [" + std::to_string(hidden) + "]");
        }
        job->prompt_positions = reading.n_positions();
        job->finished         = true;
        check_room(*job, r.prompt->trailing.size() / hidden);
    } else {
        // The first token is not known yet, and not looked at.
        const PromptReading reading(*model_->talker(), model_->text_tokens(), r.conversation,
                                    r.text.empty() ? 0 : r.text[0], false, r.speaker, r.thinker);
        job->prompt_positions = reading.n_positions();
        job->text             = r.text;
        job->finished         = r.finished;
        check_room(*job, job->text.size());
    }
    const int64_t largest = *std::max_element(r.piece_frames.begin(), r.piece_frames.end());
    job->most_buffered    = r.buffered_frames == 0 ? 0 : std::max(r.buffered_frames, 2 * largest);
    {
        const Lock lock(mutex_);
        if (closed_) {
            throw Error(ErrorKind::busy, "this engine is closed and takes no more speeches");
        }
        // Who is cancelled goes with the next frame.
        const auto gone    = [](const Job & other) { return !other || other->cancelled; };
        const auto free    = std::count_if(slots_.begin(), slots_.end(), gone);
        const auto waiting = std::count_if(waiting_.begin(), waiting_.end(), [&gone](const Job & other) {
            return !gone(other) && other->request.after == 0;
        });
        if (job->request.after == 0 && waiting >= params_.queue_limit + free) {
            const auto queued = std::max<int64_t>(0, waiting - free);
            throw Error(ErrorKind::busy, "the slots (" + std::to_string(n_slots()) + ") are taken, and " +
                                             std::to_string(queued) +
                                             " speeches wait already; no more than that are taken, try again later");
        }
        const auto before = jobs_.find(job->request.after);
        const Job  known  = before == jobs_.end() ? nullptr : before->second.lock();
        job->id           = next_id_++;
        job->first_id     = known ? known->first_id : job->id;
        job->begun        = EngineClock::now();
        jobs_.emplace(job->id, job);
        waiting_.push_back(job);
        note_change();
    }
    return job;
}

void EngineCore::feed(SpeechJob & job, const std::vector<int32_t> & tokens) {
    check_ids(tokens, model_->talker()->geometry().text_vocab, "vocabulary token id");
    {
        const Lock lock(mutex_);
        if (job.finished) {
            throw Error(ErrorKind::input, "the text of this speech is finished; begin another");
        }
        if (job.said_all || job.cancelled) {
            return;
        }
        check_room(job, job.text.size() + tokens.size());
        job.text.insert(job.text.end(), tokens.begin(), tokens.end());
        note_change();
    }
}

// Whoever reads it is told. Without text it never had a slot.
void EngineCore::end_without_text(SpeechJob & job, std::exception_ptr error) {
    job.finished   = true;
    const auto own = [&job](const Job & other) { return other.get() == &job; };
    waiting_.erase(std::remove_if(waiting_.begin(), waiting_.end(), own), waiting_.end());
    say_last(job, StopReason::failed, std::move(error));
    finished_.notify_all();
    note_change();
}

void EngineCore::finish(SpeechJob & job) {
    {
        const Lock lock(mutex_);
        if (job.text.empty() && !job.request.prompt && !job.finished && !job.cancelled && !job.said_all) {
            const Error none(ErrorKind::input, "there is no text to speak");
            end_without_text(job, std::make_exception_ptr(none));
            throw none;
        }
        job.finished = true;
        note_change();
    }
}

std::optional<SpeechPiece> EngineCore::read(SpeechJob & job, std::chrono::duration<double> timeout) {
    Lock       lock(mutex_);
    const auto there = [&job] { return !job.pieces.empty() || job.said_all; };
    if (job.heard_all || !job.readable.wait_until(lock, time_after(timeout), there)) {
        return std::nullopt;
    }
    if (job.pieces.empty()) {
        job.heard_all = true;
        if (job.error) {
            std::rethrow_exception(std::exchange(job.error, nullptr));
        }
        return std::nullopt;
    }
    SpeechPiece piece = std::move(job.pieces.front());
    job.pieces.pop_front();
    job.n_taken += piece.n_frames;
    if (piece.stop != StopReason::none) {
        job.heard_all = true;
    }
    note_change();
    return piece;
}

void EngineCore::cancel(SpeechJob & job, bool drop) {
    const Lock lock(mutex_);
    job.cancelled = true;
    if (drop) {
        job.dropped = true;
        job.pieces.clear();
    }
    note_change();
}

void EngineCore::forget(SpeechJob & job) {
    cancel(job, true);
    const Lock lock(mutex_);
    jobs_.erase(job.id);
    readable_.erase(std::remove(readable_.begin(), readable_.end(), job.id), readable_.end());
}

std::vector<int64_t> EngineCore::wait_readable(std::chrono::duration<double> timeout) {
    Lock lock(mutex_);
    announced_.wait_until(lock, time_after(timeout), [this] { return !readable_.empty() || stopping_; });
    std::vector<int64_t> ids(readable_.begin(), readable_.end());
    readable_.clear();
    for (const int64_t id : ids) {
        const auto found = jobs_.find(id);
        if (found != jobs_.end()) {
            if (const Job job = found->second.lock()) {
                job->announced = false;
            }
        }
    }
    return ids;
}

int64_t EngineCore::n_speaking() const {
    const Lock lock(mutex_);
    return n_slots() - n_free();
}

int64_t EngineCore::n_waiting() const {
    const Lock lock(mutex_);
    return n_first_waiting();
}

// Those that go on from another one are its own affair.
int64_t EngineCore::n_first_waiting() const {
    const auto waits = [](const Job & job) { return job && !job->admitted && job->request.after == 0; };
    return std::count_if(waiting_.begin(), waiting_.end(), waits) + std::count_if(slots_.begin(), slots_.end(), waits);
}

double EngineCore::expected_wait() const {
    const Lock lock(mutex_);
    const auto ahead = n_first_waiting() + 1 - n_free();
    return ahead <= 0 ? 0.0 : (double) ahead / (double) n_slots() * slot_seconds_;
}

}  // namespace omni

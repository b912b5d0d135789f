// From frames to what a listener hears: pieces for code2wav, the most urgent first, and their delivery.
#include "speech/engine_core.h"

#include <algorithm>
#include <utility>

#include "speech/engine_time.h"

namespace omni {

namespace {

// [n, groups] -> [groups, n]
std::vector<int32_t> by_group(const std::vector<int32_t> & frames, int64_t n) {
    std::vector<int32_t> out(frames.size());
    const int64_t        groups = n > 0 ? (int64_t) frames.size() / n : 0;
    for (int64_t i = 0; i < n; ++i) {
        for (int64_t g = 0; g < groups; ++g) {
            out[(size_t) (g * n + i)] = frames[(size_t) (i * groups + g)];
        }
    }
    return out;
}

}  // namespace

void EngineCore::add_frame(SpeechJob & job, const std::vector<int32_t> & frame) const {
    job.pending.insert(job.pending.end(), frame.begin(), frame.end());
    ++job.n_pending;
    ++job.n_spoken;
    ++job.timings.n_frames;
}

// What was spoken goes on to code2wav.
void EngineCore::send(SpeechJob & job, StopReason stop) {
    VocoderWork work{ by_group(job.pending, job.n_pending), job.n_pending, stop };
    job.pending.clear();
    job.n_pending = 0;
    ++job.n_pieces;
    if (!job.request.vocoded) {
        deliver(job, { {}, std::move(work.codes), work.n_frames, stop });
        return;
    }
    job.works.push_back(std::move(work));
    vocoding_.notify_one();
}

EngineCore::Job EngineCore::most_urgent() const {
    Job                     best;
    EngineClock::time_point due;
    const auto              look = [&](const Job & job) {
        if (!job || job->works.empty() || job->vocoding) {
            return;
        }
        // When its listener has heard all there is; who has heard nothing waits longest of all.
        const auto rate = (double) model_->code2wav()->geometry().sample_rate;
        const auto mine = job->n_samples == 0
                              ? job->begun - std::chrono::hours(1)
                              : job->first_heard + std::chrono::duration_cast<EngineClock::duration>(
                                                       std::chrono::duration<double>((double) job->n_samples / rate));
        if (!best || mine < due) {
            best = job;
            due  = mine;
        }
    };
    std::for_each(slots_.begin(), slots_.end(), look);
    std::for_each(leaving_.begin(), leaving_.end(), look);
    return best;
}

size_t EngineCore::n_works() const {
    size_t     n     = 0;
    const auto count = [&n](const Job & job) { n += job ? job->works.size() : 0; };
    std::for_each(slots_.begin(), slots_.end(), count);
    std::for_each(leaving_.begin(), leaving_.end(), count);
    return n;
}

std::shared_ptr<Code2WavSession> EngineCore::take_vocoder() {
    if (idle_vocoders_.empty()) {
        return nullptr;
    }
    auto vocoder = std::move(idle_vocoders_.back());
    idle_vocoders_.pop_back();
    return vocoder;
}

// The most urgent work, with the lock given up while it is computed; false where there is none.
bool EngineCore::vocode(Lock & lock) {
    const Job job = most_urgent();
    if (!job) {
        return false;
    }
    VocoderWork work = std::move(job->works.front());
    job->works.pop_front();
    job->vocoding = true;
    auto vocoder  = job->vocoder ? job->vocoder : take_vocoder();
    lock.unlock();
    const auto         start = EngineClock::now();
    std::vector<float> samples;
    std::exception_ptr error;
    try {
        if (!vocoder) {
            vocoder = std::make_shared<Code2WavSession>(model_->code2wav(), vocoding_threads_, params_.probe);
        }
        samples = vocoder->decode(work.codes, work.n_frames);
    } catch (...) {
        error = std::current_exception();
    }
    const double took = seconds_since(start);
    if (!error && work.stop != StopReason::none) {
        vocoder->restart();
    }
    lock.lock();
    job->vocoding = false;
    job->timings.vocoder += took;
    if (error) {
        job->works.clear();
        job->cancelled = true;  // its slot is free with the next frame
        if (!job->said_all) {
            say_last(*job, StopReason::failed, error);
        }
    } else if (work.stop != StopReason::none) {
        job->vocoder.reset();
        idle_vocoders_.push_back(std::move(vocoder));
        deliver(*job, { std::move(samples), std::move(work.codes), work.n_frames, work.stop });
    } else {
        job->vocoder = std::move(vocoder);
        deliver(*job, { std::move(samples), std::move(work.codes), work.n_frames, work.stop });
    }
    const auto gone = std::find(leaving_.begin(), leaving_.end(), job);
    if (gone != leaving_.end() && job->said_all) {
        leaving_.erase(gone);
        finished_.notify_all();
    }
    note_change();
    return true;
}

void EngineCore::deliver(SpeechJob & job, SpeechPiece piece) {
    if (job.said_all) {
        return;
    }
    const StopReason stop = piece.stop;
    if (!piece.samples.empty() && job.n_samples == 0) {
        job.first_heard   = EngineClock::now();
        job.timings.first = seconds_since(job.begun);
    }
    job.n_samples += (int64_t) piece.samples.size();
    ++job.n_vocoded;
    if (!job.dropped) {
        job.pieces.push_back(std::move(piece));
    }
    if (stop != StopReason::none) {
        say_last(job, stop, nullptr);
    } else {
        job.readable.notify_all();
        announce(job);
    }
}

// The last that is said of a speech. Where frames made it the stop reason goes with them, and `deliver` calls this.
void EngineCore::say_last(SpeechJob & job, StopReason stop, std::exception_ptr error) {
    job.said_all = true;
    job.stop     = stop;
    job.error    = std::move(error);
    if (!job.error && !job.dropped && (job.pieces.empty() || job.pieces.back().stop == StopReason::none)) {
        SpeechPiece last;
        last.stop = stop;
        job.pieces.push_back(std::move(last));
    }
    job.vocoder.reset();
    job.readable.notify_all();
    announce(job);
}

void EngineCore::announce(SpeechJob & job) {
    if (!job.announced && jobs_.count(job.id) > 0) {
        job.announced = true;
        readable_.push_back(job.id);
        announced_.notify_all();
    }
}

}  // namespace omni

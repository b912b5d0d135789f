#include "speech/engine_core.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "core/ggml_abort.h"
#include "core/large_memory.h"
#include "core/process.h"
#include "error/error.h"
#include "threads/cpu_share.h"

namespace omni {

namespace {

// With fewer threads the talker alone needs them all (docs/performance.md).
constexpr int k_threads_to_overlap = 4;

constexpr size_t  k_tokens_to_start = 4;
constexpr int64_t k_waited_for      = 8;    // frames of a first piece that the talker waits for, to be heard soon
constexpr int64_t k_text_a_turn     = 32;   // tokens, where others would wait
constexpr int64_t k_first_prompt    = 16;   // positions, while nothing is known of their time
constexpr int64_t k_whole_prompt    = 512;  // positions, where nobody waits
constexpr size_t  k_thread_nbytes   = 1 << 20;
constexpr double  k_forgetting      = 0.2;  // weight of the newest in a running mean
constexpr size_t  k_works_a_turn    = 4;    // of so many works waiting, one a turn

double seconds_since(EngineClock::time_point start) {
    return std::chrono::duration<double>(EngineClock::now() - start).count();
}

void learn(double & mean, double value) {
    mean = mean == 0 ? value : (1 - k_forgetting) * mean + k_forgetting * value;
}

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

template <typename Duration> EngineClock::time_point time_after(Duration timeout) {
    // Beyond a year nobody waits, and the clock must not overflow.
    const double seconds = timeout.count() > 0 ? std::min(timeout.count(), 3e7) : 0.0;  // of NaN, too
    return EngineClock::now() +
           std::chrono::duration_cast<EngineClock::duration>(std::chrono::duration<double>(seconds));
}

}  // namespace

// --- beginning and end ----------------------------------------------------------------------------------------------

EngineCore::EngineCore(std::shared_ptr<const SpeechModel> model, const EngineParams & params) :
    model_(std::move(model)),
    params_(params),
    process_(process_id()),
    slots_((size_t) checked_batch(params.n_slots)) {
    const int n = params.n_threads != 0 ? params.n_threads : usable_cpus();
    // Not on another device than the CPU, which the stages would wait for each other on, and not under a probe, which
    // records modules in the order in which they are computed.
    overlaps_         = n >= k_threads_to_overlap && model_->on_cpu() && params.probe == nullptr;
    talking_threads_  = overlaps_ ? std::max(1, n / 2) : params.n_threads;
    vocoding_threads_ = overlaps_ ? std::max(1, n - n / 2) : params.n_threads;
    batch_            = std::make_unique<SpeechBatch>(model_, params.n_slots, talking_threads_, params.probe);
}

EngineCore::~EngineCore() {
    stop();
}

bool EngineCore::in_own_process() const {
    return process_id() == process_;
}

void EngineCore::require_own_process() const {
    if (!in_own_process()) {
        throw Error(ErrorKind::input, "this engine speaks in the process " + std::to_string(process_) +
                                          ", from which this one was forked without its threads; make an engine here");
    }
}

// What a thread needs from the system is asked for while nobody else takes memory: where its thread-local data finds
// none, the C library ends the process.
void EngineCore::begin_thread() {
    catch_ggml_aborts();
    (void) std::uncaught_exceptions();
    const Lock lock(mutex_);
    ++n_ready_;
    finished_.notify_all();
}

void EngineCore::start() {
    {
        const LargeMemory room(2 * k_thread_nbytes, "the threads of a speech engine");
    }
    if (overlaps_) {
        try {
            vocoder_thread_ = std::thread([this] { run_vocoder(); });
        } catch (const std::system_error &) {
            overlaps_ = false;  // in turn it is only slower
        }
    }
    try {
        thread_ = std::thread([this] { run(); });
    } catch (const std::system_error &) {
        stop();
        throw Error(ErrorKind::memory, "the system refused a thread to speak in; allow more memory or processes");
    }
    Lock lock(mutex_);
    finished_.wait(lock, [this] { return n_ready_ == (overlaps_ ? 2 : 1); });
}

void EngineCore::stop() {
    {
        const Lock lock(mutex_);
        closed_   = true;
        stopping_ = true;
    }
    work_.notify_all();
    vocoding_.notify_all();
    announced_.notify_all();
    {
        std::lock_guard<std::mutex> joining(threads_mutex_);
        for (std::thread * thread : { &thread_, &vocoder_thread_ }) {
            if (thread->joinable()) {
                thread->join();
            }
        }
    }
    const Lock lock(mutex_);
    end_all(StopReason::cancelled, nullptr);
}

void EngineCore::close() {
    const Lock lock(mutex_);
    closed_ = true;
}

bool EngineCore::stopped() const {
    const Lock lock(mutex_);
    return stopping_;
}

bool EngineCore::idle() const {
    const auto none = [](const Job & job) { return job == nullptr; };
    return waiting_.empty() && leaving_.empty() && std::all_of(slots_.begin(), slots_.end(), none);
}

bool EngineCore::drain(std::chrono::duration<double> timeout) {
    Lock lock(mutex_);
    closed_ = true;
    return finished_.wait_until(lock, time_after(timeout), [this] { return idle(); });
}

// --- what a listener asks -------------------------------------------------------------------------------------------

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
        const PromptReading reading(*model_->talker(), r.prompt->inputs);
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
                                    r.text.empty() ? 0 : r.text[0], false, r.speaker, r.thinker_hidden);
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
        const auto waiting = (int64_t) waiting_.size() - std::count_if(waiting_.begin(), waiting_.end(), gone);
        if (job->request.after == 0 && waiting >= params_.queue_limit + free) {
            throw Error(ErrorKind::busy, std::to_string(waiting) +
                                             " speeches wait already; no more than that are taken, try again later");
        }
        job->id    = next_id_++;
        job->begun = EngineClock::now();
        jobs_.emplace(job->id, job);
        if (job->request.after != 0) {
            waiting_.push_front(job);
        } else {
            waiting_.push_back(job);
        }
        note_change();
    }
    return job;
}

void EngineCore::feed(SpeechJob & job, const std::vector<int32_t> & tokens) {
    check_ids(tokens, model_->talker()->geometry().text_vocab, "vocabulary token id");
    {
        const Lock lock(mutex_);
        if (job.said_all || job.cancelled) {
            return;
        }
        if (job.finished) {
            throw Error(ErrorKind::input, "the text of this speech is finished; begin another");
        }
        check_room(job, job.text.size() + tokens.size());
        job.text.insert(job.text.end(), tokens.begin(), tokens.end());
        note_change();
    }
}

void EngineCore::finish(SpeechJob & job) {
    {
        const Lock lock(mutex_);
        if (job.text.empty() && !job.request.prompt && !job.cancelled && !job.said_all) {
            throw Error(ErrorKind::input, "there is no text to speak");
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
    return n_slots() - std::count(slots_.begin(), slots_.end(), nullptr);
}

int64_t EngineCore::n_waiting() const {
    const Lock lock(mutex_);
    return (int64_t) waiting_.size();
}

double EngineCore::expected_wait() const {
    const Lock lock(mutex_);
    const auto free  = std::count(slots_.begin(), slots_.end(), nullptr);
    const auto ahead = (int64_t) waiting_.size() + 1 - free;
    return ahead <= 0 ? 0.0 : (double) ahead / (double) n_slots() * slot_seconds_;
}

// --- what goes on, under the lock -----------------------------------------------------------------------------------

void EngineCore::announce(SpeechJob & job) {
    if (!job.announced && jobs_.count(job.id) > 0) {
        job.announced = true;
        readable_.push_back(job.id);
        announced_.notify_all();
    }
}

void EngineCore::note_change() {
    ++changes_;
    work_.notify_one();
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

void EngineCore::leave_slot(int64_t slot) {
    Job & job = slots_[(size_t) slot];
    note_rest(*job, false);
    learn(slot_seconds_, seconds_since(job->admitted_at));
    if (!job->said_all) {
        leaving_.push_back(job);
    }
    job.reset();
    finished_.notify_all();
}

void EngineCore::end_all(StopReason stop, const std::exception_ptr & error) {
    for (auto & entry : jobs_) {
        const Job job = entry.second.lock();
        if (job && !job->said_all) {
            job->works.clear();
            say_last(*job, stop, error);
        }
    }
    waiting_.clear();
    leaving_.clear();
    for (Job & job : slots_) {
        job.reset();
    }
    finished_.notify_all();
}

void EngineCore::end_cancelled() {
    for (auto it = waiting_.begin(); it != waiting_.end();) {
        if ((*it)->cancelled) {
            say_last(**it, StopReason::cancelled, nullptr);
            it = waiting_.erase(it);
            finished_.notify_all();
        } else {
            ++it;
        }
    }
    for (size_t i = 0; i < slots_.size(); ++i) {
        const Job job = slots_[i];
        if (!job || !job->cancelled) {
            continue;
        }
        if (job->dropped) {
            job->works.clear();
            job->pending.clear();
            job->n_pending = 0;
        }
        if (!job->dropped && !job->said_all) {
            send(*job, StopReason::cancelled);
        } else if (!job->vocoding && !job->said_all) {
            say_last(*job, StopReason::cancelled, nullptr);
        }
        if (job->opened) {
            batch_->close((int64_t) i);
        }
        leave_slot((int64_t) i);
    }
    for (auto it = leaving_.begin(); it != leaving_.end();) {
        SpeechJob & job = **it;
        if (job.dropped && !job.vocoding && !job.said_all) {
            job.works.clear();
            say_last(job, StopReason::cancelled, nullptr);
        }
        it = job.said_all ? leaving_.erase(it) : it + 1;
    }
    if (idle()) {
        finished_.notify_all();
    }
}

bool EngineCore::startable(const SpeechJob & job) const {
    const auto is_before = [&job](const Job & other) { return other && other->id == job.request.after; };
    return (job.finished || job.text.size() >= k_tokens_to_start) &&
           std::none_of(slots_.begin(), slots_.end(), is_before) &&
           std::none_of(waiting_.begin(), waiting_.end(), is_before);
}

// In the order of their coming; one that has no text yet lets others pass.
void EngineCore::admit() {
    for (auto & slot : slots_) {
        const auto next =
            std::find_if(waiting_.begin(), waiting_.end(), [this](const Job & job) { return startable(*job); });
        if (next == waiting_.end()) {
            return;
        }
        if (slot == nullptr) {
            slot                  = *next;
            slot->admitted        = true;
            slot->admitted_at     = EngineClock::now();
            slot->timings.waiting = seconds_since(slot->begun);
            waiting_.erase(next);
        }
    }
}

bool EngineCore::listener_keeps_up(const SpeechJob & job) const {
    return job.most_buffered == 0 || job.n_spoken - job.n_taken < job.most_buffered;
}

// Alone, and its first piece is so short that it should be heard before more is spoken.
bool EngineCore::first_is_waited_for(const SpeechJob & job) const {
    const auto others = n_slots() - std::count(slots_.begin(), slots_.end(), nullptr) - 1;
    return overlaps_ && others == 0 && job.n_pieces == 1 && job.n_vocoded == 0 && job.n_pending == 0 &&
           job.n_spoken <= k_waited_for && job.request.vocoded;
}

void EngineCore::note_rest(SpeechJob & job, bool rests) const {
    if (rests && !job.resting) {
        job.resting_since = EngineClock::now();
    } else if (!rests && job.resting) {
        job.timings.idle += seconds_since(job.resting_since);
    }
    job.resting = rests;
}

EngineCore::Turn EngineCore::next_turn() {
    Turn    turn;
    int64_t oldest = 0;
    for (size_t i = 0; i < slots_.size(); ++i) {
        const Job &   job  = slots_[i];
        const int64_t slot = (int64_t) i;
        if (!job) {
            continue;
        }
        if (!job->opened) {
            const bool known = !job->text.empty();
            turn.opening.push_back(
                { job, slot, known ? job->text.front() : 0, job->finished && job->text.size() == 1 });
            continue;
        }
        if (job->n_given < job->text.size() || (job->finished && !job->all_given)) {
            const size_t end  = std::min(job->text.size(), job->n_given + (size_t) k_text_a_turn);
            const bool   last = job->finished && end == job->text.size();
            turn.text.push_back(
                { job,
                  slot,
                  { job->text.begin() + (std::ptrdiff_t) job->n_given, job->text.begin() + (std::ptrdiff_t) end },
                  last });
        }
        if (!batch_->prompt_read(slot)) {
            if (turn.prompt < 0 || job->id < oldest) {
                turn.prompt = slot;
                oldest      = job->id;
            }
            continue;
        }
        const bool steps = batch_->can_step(slot) && listener_keeps_up(*job);
        if (steps && !first_is_waited_for(*job)) {
            turn.stepping.push_back(slot);
        }
        note_rest(*job, !steps);
    }
    turn.others = !turn.stepping.empty();
    return turn;
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

void EngineCore::fail_slots(std::exception_ptr error) {
    for (size_t i = 0; i < slots_.size(); ++i) {
        if (const Job job = slots_[i]) {
            job->works.clear();
            if (!job->said_all) {
                say_last(*job, StopReason::failed, error);
            }
            leave_slot((int64_t) i);
        }
    }
}

// --- the engine's thread --------------------------------------------------------------------------------------------

void EngineCore::run() {
    begin_thread();
    Lock lock(mutex_);
    try {
        while (!stopping_) {
            const uint64_t seen = changes_;
            end_cancelled();
            admit();
            for (size_t n = overlaps_ ? 0 : (n_works() + k_works_a_turn - 1) / k_works_a_turn; n > 0; --n) {
                vocode(lock);
            }
            const Turn turn = next_turn();
            if (turn.empty() && (overlaps_ || n_works() == 0)) {
                work_.wait(lock, [&] { return stopping_ || changes_ != seen; });
                continue;
            }
            lock.unlock();
            try {
                compute(turn);
                lock.lock();
            } catch (...) {
                lock.lock();
                fail_slots(std::current_exception());
                // What was to serve all: nobody can go on with these caches.
                batch_ = std::make_unique<SpeechBatch>(model_, n_slots(), talking_threads_, params_.probe);
            }
        }
    } catch (...) {
        if (!lock.owns_lock()) {
            lock.lock();
        }
        closed_ = true;
        end_all(StopReason::failed, std::current_exception());
    }
}

void EngineCore::compute(const Turn & turn) {
    for (const auto & opening : turn.opening) {
        open(opening);
    }
    for (const auto & text : turn.text) {
        give_text(text);
    }
    if (turn.prompt >= 0) {
        read_prompt(turn);
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
            batch_->open(opening.slot, r.params, PromptReading(*model_->talker(), std::move(r.prompt->inputs)));
            opening.job->opened = true;
            batch_->set_text(opening.slot, r.prompt->trailing, r.prompt->pad);
            opening.job->all_given = true;
        } else {
            batch_->open(opening.slot, r.params,
                         PromptReading(*model_->talker(), model_->text_tokens(), r.conversation, opening.first,
                                       opening.alone, r.speaker, std::move(r.thinker_hidden)));
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
void EngineCore::read_prompt(const Turn & turn) {
    const Job job = slots_[(size_t) turn.prompt];
    if (!job) {
        return;
    }
    int64_t n = k_whole_prompt;
    if (turn.others) {
        const double fit = position_seconds_ > 0 ? frame_seconds_ / position_seconds_ : (double) k_first_prompt;
        n                = std::clamp<int64_t>((int64_t) fit, 2, k_whole_prompt);
    }
    const auto    start = EngineClock::now();
    const int64_t from  = batch_->n_prompt_read(turn.prompt);
    try {
        batch_->read_prompt(turn.prompt, n);
    } catch (...) {
        fail(job, turn.prompt, std::current_exception());
        return;
    }
    const double took = seconds_since(start);
    learn(position_seconds_, took / (double) std::max<int64_t>(1, batch_->n_prompt_read(turn.prompt) - from));
    cache_nbytes_ = batch_->cache_nbytes();
    {
        const Lock lock(mutex_);
        job->timings.prompt += took;
    }
    if (batch_->error(turn.prompt)) {
        fail(job, turn.prompt, batch_->error(turn.prompt));
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

// --- code2wav -------------------------------------------------------------------------------------------------------

void EngineCore::run_vocoder() {
    begin_thread();
    Lock lock(mutex_);
    while (!stopping_) {
        if (!vocode(lock)) {
            vocoding_.wait(lock);
        }
    }
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

}  // namespace omni

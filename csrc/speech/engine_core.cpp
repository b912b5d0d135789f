// The engine's life: its threads, its beginning, its end.
#include "speech/engine_core.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "core/ggml_abort.h"
#include "core/large_memory.h"
#include "core/n_threads.h"
#include "core/process.h"
#include "error/error.h"
#include "speech/engine_time.h"
#include "threads/cpu_share.h"
#include "threads/quiet_signals.h"

namespace omni {

namespace {

// With fewer threads the talker alone needs them all (docs/performance.md).
constexpr int k_threads_to_overlap = 4;

constexpr size_t k_thread_nbytes = 1 << 20;
constexpr size_t k_works_a_turn  = 4;  // of so many works waiting, one a turn

}  // namespace

EngineCore::EngineCore(std::shared_ptr<const SpeechModel> model, const EngineParams & params) :
    model_(std::move(model)),
    params_(params),
    process_(process_id()),
    slots_((size_t) checked_batch(params.n_slots)) {
    check_n_threads(params.n_threads);
    if (params.queue_limit < 0) {
        throw Error(ErrorKind::input, "the limit of the queue is " + std::to_string(params.queue_limit) +
                                          "; it must be 0 (nobody waits) or more");
    }
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
    const QuietSignals quiet;
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

void EngineCore::run_vocoder() {
    begin_thread();
    Lock lock(mutex_);
    while (!stopping_) {
        if (!vocode(lock)) {
            vocoding_.wait(lock);
        }
    }
}

}  // namespace omni

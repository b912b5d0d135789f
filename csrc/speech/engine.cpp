#include "speech/engine.h"

#include <atomic>
#include <set>

#if !defined(_WIN32)
#include <pthread.h>
#endif

#include "error/error.h"
#include "speech/engine_core.h"

namespace omni {

namespace {

// Every engine there is, so that all can be stopped while that is still possible.
struct Engines {
    std::mutex                                             mutex;
    std::set<std::weak_ptr<EngineCore>, std::owner_less<>> known;
    bool                                                   over = false;

    // Once all were stopped for good, nobody would stop its threads.
    void start(const std::shared_ptr<EngineCore> & core) {
        std::lock_guard<std::mutex> lock(mutex);
        if (over) {
            throw Error(ErrorKind::input, "the program ends, so that nothing can be spoken any more");
        }
        core->start();
        known.insert(core);
    }

    void remove(const std::shared_ptr<EngineCore> & core) {
        std::lock_guard<std::mutex> lock(mutex);
        known.erase(core);
    }

    std::vector<std::shared_ptr<EngineCore>> end() {
        std::lock_guard<std::mutex> lock(mutex);
        over = true;
        std::vector<std::shared_ptr<EngineCore>> out;
        for (const auto & one : known) {
            if (auto core = one.lock()) {
                out.push_back(std::move(core));
            }
        }
        return out;
    }
};

// Never destroyed: outlives whoever still has an engine.
std::atomic<Engines *> the_engines{ nullptr };

Engines & engines() {
    Engines * known = the_engines;
    if (known == nullptr) {
        auto made = std::make_unique<Engines>();
        if (the_engines.compare_exchange_strong(known, made.get())) {
            known = made.release();
        }
    }
    return *known;
}

#if !defined(_WIN32)
// In the child of a fork the lock is as another thread left it, and none of these engines can be used.
const int watching_forks = pthread_atfork(nullptr, nullptr, [] { the_engines = nullptr; });
#endif

// In a process that was forked the threads are missing and the mutex may be held by one of them: what can't be ended is
// left.
void leave(std::shared_ptr<EngineCore> core) {
    (void) new std::shared_ptr<EngineCore>(std::move(core));
}

}  // namespace

EngineSpeech::EngineSpeech(std::shared_ptr<EngineCore> core, std::shared_ptr<SpeechJob> job) :
    core_(std::move(core)),
    job_(std::move(job)) {}

EngineSpeech::~EngineSpeech() {
    if (!core_->in_own_process()) {
        (void) new std::shared_ptr<SpeechJob>(std::move(job_));
        leave(std::move(core_));
        return;
    }
    core_->forget(*job_);
}

int64_t EngineSpeech::id() const {
    return job_->id;
}

void EngineSpeech::feed(const std::vector<int32_t> & tokens) {
    core_->require_own_process();
    core_->feed(*job_, tokens);
}

void EngineSpeech::finish() {
    core_->require_own_process();
    core_->finish(*job_);
}

std::optional<SpeechPiece> EngineSpeech::read(std::chrono::duration<double> timeout) {
    core_->require_own_process();
    return core_->read(*job_, timeout);
}

bool EngineSpeech::ended() const {
    core_->require_own_process();
    const auto lock = core_->lock();
    return job_->heard_all;
}

void EngineSpeech::cancel(bool drop) {
    core_->require_own_process();
    core_->cancel(*job_, drop);
}

StopReason EngineSpeech::stop_reason() const {
    core_->require_own_process();
    const auto lock = core_->lock();
    return job_->heard_all ? job_->stop : StopReason::none;
}

bool EngineSpeech::admitted() const {
    core_->require_own_process();
    const auto lock = core_->lock();
    return job_->admitted;
}

SpeechTimings EngineSpeech::timings() const {
    core_->require_own_process();
    const auto lock = core_->lock();
    return job_->timings;
}

SpeechEngine::SpeechEngine(std::shared_ptr<const SpeechModel> model, const EngineParams & params) :
    core_(std::make_shared<EngineCore>(std::move(model), params)) {
    engines().start(core_);
}

SpeechEngine::~SpeechEngine() {
    if (!core_->in_own_process()) {
        leave(std::move(core_));
        return;
    }
    core_->stop();
    engines().remove(core_);
}

std::shared_ptr<EngineSpeech> SpeechEngine::begin(SpeechRequest request) {
    core_->require_own_process();
    return std::make_shared<EngineSpeech>(core_, core_->begin(std::move(request)));
}

int64_t SpeechEngine::n_slots() const {
    return core_->n_slots();
}

int64_t SpeechEngine::n_speaking() const {
    core_->require_own_process();
    return core_->n_speaking();
}

int64_t SpeechEngine::n_waiting() const {
    core_->require_own_process();
    return core_->n_waiting();
}

double SpeechEngine::expected_wait() const {
    core_->require_own_process();
    return core_->expected_wait();
}

std::vector<int64_t> SpeechEngine::wait_readable(std::chrono::duration<double> timeout) {
    core_->require_own_process();
    return core_->wait_readable(timeout);
}

void SpeechEngine::close() {
    core_->require_own_process();
    core_->close();
}

bool SpeechEngine::drain(std::chrono::duration<double> timeout) {
    core_->require_own_process();
    return core_->drain(timeout);
}

void SpeechEngine::stop() {
    core_->require_own_process();
    core_->stop();
}

bool SpeechEngine::stopped() const {
    return !core_->in_own_process() || core_->stopped();
}

bool SpeechEngine::overlaps() const {
    return core_->overlaps();
}

size_t SpeechEngine::cache_nbytes() const {
    core_->require_own_process();
    return core_->cache_nbytes();
}

void SpeechEngine::stop_all() {
    for (const auto & core : engines().end()) {
        if (core->in_own_process()) {
            core->stop();
        }
    }
}

}  // namespace omni

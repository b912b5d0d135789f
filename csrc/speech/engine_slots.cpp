// Who has a slot, who waits, who leaves, and what a turn does: decided under the lock.
#include "speech/engine_core.h"

#include <algorithm>
#include <utility>

#include "speech/engine_time.h"

namespace omni {

namespace {

constexpr size_t  k_tokens_to_start = 4;
constexpr size_t  k_tokens_to_read  = 2;   // that there is more than one token is seen in the prompt
constexpr int64_t k_waited_for      = 8;   // frames of a first piece that the talker waits for, to be heard soon
constexpr int64_t k_text_a_turn     = 32;  // tokens, where others would wait

}  // namespace

void EngineCore::note_change() {
    ++changes_;
    work_.notify_one();
}

EngineCore::Turns EngineCore::turn_of(const SpeechJob & job) const {
    const auto is_before = [&job](const Job & other) {
        return other && other->first_id == job.first_id && other->id < job.id;
    };
    if (std::any_of(waiting_.begin(), waiting_.end(), is_before)) {
        return Turns::later;
    }
    Turns turn = Turns::its_own;
    for (const Job & other : slots_) {
        if (is_before(other)) {
            // Nothing may hold up what is heard first.
            const bool heard = other->n_vocoded > 0 || !other->request.vocoded;
            turn             = heard && turn != Turns::later ? Turns::ahead : Turns::later;
        }
    }
    return turn;
}

// That nobody has, or else the youngest of those who only read ahead. There is one.
size_t EngineCore::free_slot() const {
    const auto worth = [](const Job & job) { return job == nullptr ? -2 : job->admitted ? 0 : -1; };
    const auto found = std::min_element(slots_.begin(), slots_.end(), [&](const Job & a, const Job & b) {
        const bool both_read = worth(a) == -1 && worth(b) == -1;
        return both_read ? a->id > b->id : worth(a) < worth(b);
    });
    return (size_t) (found - slots_.begin());
}

int64_t EngineCore::n_free() const {
    return std::count_if(slots_.begin(), slots_.end(), [](const Job & job) { return !job || !job->admitted; });
}

void EngineCore::let_speak(const Job & job) {
    job->admitted        = true;
    job->admitted_at     = EngineClock::now();
    job->timings.waiting = seconds_since(job->begun);
    // What follows it queues up behind those who wait already, so that all texts go on by turns.
    const auto follows = [&job](const Job & other) { return other->request.after != job->id; };
    std::stable_partition(waiting_.begin(), waiting_.end(), follows);
}

// Nothing of it was spoken, so that it can begin anew, in its place in the queue.
void EngineCore::give_way(int64_t slot) {
    const Job job = std::move(slots_[(size_t) slot]);
    if (job->opened) {
        batch_->close(slot);
    }
    job->opened       = false;
    job->all_given    = false;
    job->n_given      = 0;
    const auto behind = [&job](const Job & other) { return other->id > job->id; };
    waiting_.insert(std::find_if(waiting_.begin(), waiting_.end(), behind), job);
}

// In the order of their coming; one that has no text yet lets others pass. What goes on from another is ahead of its
// turn while that one speaks, and gets a slot that nobody waits for; one is left for who comes next.
void EngineCore::admit() {
    const auto may_start = [](const Job & job) { return job->finished || job->text.size() >= k_tokens_to_start; };
    for (const Job & job : slots_) {
        if (job && !job->admitted && may_start(job)) {
            let_speak(job);
        }
    }
    for (auto free = n_free(); free > 0; --free) {
        const auto of = [&](Turns turn) {
            return std::find_if(waiting_.begin(), waiting_.end(),
                                [&](const Job & job) { return may_start(job) && turn_of(*job) == turn; });
        };
        auto next = of(Turns::its_own);
        if (next == waiting_.end() && free > 1) {
            next = of(Turns::ahead);
        }
        if (next == waiting_.end()) {
            break;
        }
        const Job job = *next;
        waiting_.erase(next);
        const size_t slot = free_slot();
        if (slots_[slot]) {
            give_way((int64_t) slot);
        }
        slots_[slot] = job;
        let_speak(job);
    }
    read_ahead();
}

// The prompts of those who have no text to start with yet, in slots that nobody waits for.
void EngineCore::read_ahead() {
    for (Job & slot : slots_) {
        const auto next = std::find_if(waiting_.begin(), waiting_.end(), [this](const Job & job) {
            return job->text.size() >= k_tokens_to_read && turn_of(*job) == Turns::its_own;
        });
        if (!slot && next != waiting_.end()) {
            slot = *next;
            waiting_.erase(next);
        }
    }
}

void EngineCore::leave_slot(int64_t slot) {
    Job & job = slots_[(size_t) slot];
    note_rest(*job, false);
    if (job->admitted) {
        learn(slot_seconds_, seconds_since(job->admitted_at));
    }
    if (!job->said_all) {
        leaving_.push_back(job);
    }
    job.reset();
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
        if (!job->dropped && !job->said_all && job->admitted) {
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

bool EngineCore::listener_keeps_up(const SpeechJob & job) const {
    return job.most_buffered == 0 || job.n_spoken - job.n_taken < job.most_buffered;
}

// Alone, and its first piece is so short that it should be heard before more is spoken.
bool EngineCore::first_is_waited_for(const SpeechJob & job) const {
    const auto others = n_slots() - n_free() - 1;
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
    Turn turn;
    for (size_t i = 0; i < slots_.size(); ++i) {
        const Job &   job  = slots_[i];
        const int64_t slot = (int64_t) i;
        if (!job) {
            continue;
        }
        if (!job->opened) {
            const bool known = !job->text.empty();
            turn.opening.push_back(
                { job, slot, known ? job->text.front() : 0, job->finished && job->text.size() == 1, !job->admitted });
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
            turn.prompts.push_back(slot);
            continue;
        }
        if (!job->admitted) {
            continue;
        }
        const bool steps = batch_->can_step(slot) && listener_keeps_up(*job);
        if (steps && !first_is_waited_for(*job)) {
            turn.stepping.push_back(slot);
        }
        note_rest(*job, !steps);
    }
    turn.others = !turn.stepping.empty();
    choose_prompts(turn);
    return turn;
}

// Of those there are the oldest who may speak, before those who may not yet; and, where nobody waits for it, those that
// one pass takes along, who have as much to read. A probe sees one after the other.
void EngineCore::choose_prompts(Turn & turn) const {
    const auto rank = [this](int64_t slot) {
        const SpeechJob & job = *slots_[(size_t) slot];
        return std::make_pair(!job.admitted, job.id);
    };
    std::sort(turn.prompts.begin(), turn.prompts.end(), [&](int64_t a, int64_t b) { return rank(a) < rank(b); });
    std::vector<int64_t> chosen;
    for (const int64_t slot : turn.prompts) {
        const int64_t left  = batch_->n_prompt_left(slot);
        const bool    first = chosen.empty();
        const bool    along =
            !first && !turn.others && params_.probe == nullptr && rank(slot).first == rank(chosen.front()).first &&
            left == batch_->n_prompt_left(chosen.front()) && left * (int64_t) (chosen.size() + 1) <= k_whole_prompt;
        if (first || along) {
            chosen.push_back(slot);
        }
    }
    turn.prompts = std::move(chosen);
}

}  // namespace omni

// The engine itself: its threads, its slots, its queue.
//
// One mutex guards all that engine and listeners share; nothing is computed while it is held.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "speech/speech_batch.h"
#include "speech/speech_job.h"

namespace omni {

constexpr int64_t k_whole_prompt = 512;  // positions that are read at once, where nobody waits

class EngineCore {
  public:
    EngineCore(std::shared_ptr<const SpeechModel> model, const EngineParams & params);
    ~EngineCore();
    EngineCore(const EngineCore &)             = delete;
    EngineCore & operator=(const EngineCore &) = delete;

    void start();
    void stop();

    std::shared_ptr<SpeechJob> begin(SpeechRequest request);
    void                       feed(SpeechJob & job, const std::vector<int32_t> & tokens);
    void                       finish(SpeechJob & job);
    std::optional<SpeechPiece> read(SpeechJob & job, std::chrono::duration<double> timeout);
    void                       cancel(SpeechJob & job, bool drop);
    std::vector<int64_t>       wait_readable(std::chrono::duration<double> timeout);
    void                       close();
    bool                       stopped() const;
    bool                       drain(std::chrono::duration<double> timeout);

    int64_t n_slots() const { return (int64_t) slots_.size(); }

    int64_t n_speaking() const;
    int64_t n_waiting() const;
    double  expected_wait() const;

    bool overlaps() const { return overlaps_; }

    size_t cache_nbytes() const { return cache_nbytes_; }

    // Throws Error(input) in a process that was forked from the one that made it: threads don't follow.
    void require_own_process() const;
    bool in_own_process() const;

    // Nobody has it any more.
    void forget(SpeechJob & job);

    // For looking at a job.
    std::unique_lock<std::mutex> lock() const { return std::unique_lock<std::mutex>(mutex_); }

  private:
    using Job  = std::shared_ptr<SpeechJob>;
    using Lock = std::unique_lock<std::mutex>;

    // What a turn does, decided under the lock and computed without it.
    struct Turn {
        struct Text {
            Job                  job;
            int64_t              slot;
            std::vector<int32_t> tokens;
            bool                 last;
        };

        struct Opening {
            Job     job;
            int64_t slot;
            int32_t first = 0;
            bool    alone = false;
            bool    ahead = false;  // of its text: it may have to begin anew
        };

        std::vector<Opening> opening;
        std::vector<Text>    text;
        std::vector<int64_t> prompts;         // the slots whose prompts are read on
        bool                 others = false;  // whether somebody would wait for that
        std::vector<int64_t> stepping;

        bool empty() const { return opening.empty() && text.empty() && prompts.empty() && stepping.empty(); }
    };

    // When a speech that goes on from another may have a slot: while the listener hears that one, or later.
    enum class Turns { its_own, ahead, later };

    void check(const SpeechRequest & request) const;
    void check_room(const SpeechJob & job, size_t n_tokens) const;

    void run();
    void run_vocoder();
    void begin_thread();

    // Under the lock.
    void    end_cancelled();
    void    end_all(StopReason stop, const std::exception_ptr & error);
    void    admit();
    void    let_speak(const Job & job);
    void    give_way(int64_t slot);
    void    read_ahead();
    size_t  free_slot() const;
    int64_t n_free() const;
    Turn    next_turn();
    void    choose_prompts(Turn & turn) const;
    Turns   turn_of(const SpeechJob & job) const;
    bool    listener_keeps_up(const SpeechJob & job) const;
    bool    first_is_waited_for(const SpeechJob & job) const;
    void    note_rest(SpeechJob & job, bool rests) const;
    void    add_frame(SpeechJob & job, const std::vector<int32_t> & frame) const;
    void    send(SpeechJob & job, StopReason stop);
    void    deliver(SpeechJob & job, SpeechPiece piece);
    void    say_last(SpeechJob & job, StopReason stop, std::exception_ptr error);
    void    end_without_text(SpeechJob & job, std::exception_ptr error);
    void    announce(SpeechJob & job);
    void    note_change();
    void    leave_slot(int64_t slot);
    void    fail_slots(std::exception_ptr error);
    Job     most_urgent() const;
    size_t  n_works() const;
    bool    idle() const;
    int64_t n_first_waiting() const;

    // Without it, in the engine's thread.
    void compute(const Turn & turn);
    void open(const Turn::Opening & opening);
    void give_text(const Turn::Text & text);
    void read_prompts(const Turn & turn);
    void step(const Turn & turn);
    void fail(const Job & job, int64_t slot, std::exception_ptr error);

    // In any thread.
    bool vocode(Lock & lock);

    std::shared_ptr<Code2WavSession> take_vocoder();

    const std::shared_ptr<const SpeechModel> model_;
    const EngineParams                       params_;
    const long                               process_;
    bool                                     overlaps_;
    int                                      talking_threads_;
    int                                      vocoding_threads_;

    mutable std::mutex      mutex_;
    std::condition_variable work_;       // for the engine's thread
    std::condition_variable vocoding_;   // for the vocoder's
    std::condition_variable finished_;   // for those who drain
    std::condition_variable announced_;  // for wait_readable

    std::deque<Job>                             waiting_;
    std::vector<Job>                            slots_;
    std::vector<Job>                            leaving_;  // have no slot any more, and frames to be vocoded
    std::map<int64_t, std::weak_ptr<SpeechJob>> jobs_;
    std::deque<int64_t>                         readable_;
    int64_t                                     next_id_      = 1;
    uint64_t                                    changes_      = 0;  // that the engine's thread should look at
    int                                         n_ready_      = 0;  // threads
    bool                                        closed_       = false;
    bool                                        stopping_     = false;
    double                                      slot_seconds_ = 0;  // of a speech, as far as they tell

    std::vector<std::shared_ptr<Code2WavSession>> idle_vocoders_;

    std::atomic<size_t> cache_nbytes_{ 0 };

    // The engine's thread alone.
    std::unique_ptr<SpeechBatch> batch_;
    double                       frame_seconds_    = 0;  // of a step, lately
    double                       position_seconds_ = 0;  // of a prompt that is read between steps

    std::mutex  threads_mutex_;  // for who joins
    std::thread thread_;
    std::thread vocoder_thread_;
};

}  // namespace omni

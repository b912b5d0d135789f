// The engine: speeches in slots, others in a queue, text as it comes, audio as it comes.
//
//     SpeechEngine engine(model, params);
//     auto speech = engine.begin(request);            // refused where the queue is full
//     speech->feed(tokens);                           // as they are written; any number of times
//     speech->finish();
//     while (!speech->ended()) {
//         if (auto piece = speech->read(timeout)) {   // nothing where there is none yet
//             play(piece->samples);
//         }
//     }
//
// A thread of the engine speaks, frame by frame, all speeches that have a slot, text for their next frame, and a
// listener who keeps up. Code2wav has a thread of its own where that is faster (see `overlaps`). Every function may be
// called from any thread, and returns without waiting for a computation, but for `read`, which waits as long as it is
// told, and the destructor and `stop`, which wait for the piece of work in hand.
//
// The same request says the same samples, whatever the slots, the others, the threads and how the text is fed.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "speech/speech_request.h"

namespace omni {

class EngineCore;
struct SpeechJob;

// One speech. It may outlive its engine, which ends it.
class EngineSpeech {
  public:
    EngineSpeech(std::shared_ptr<EngineCore> core, std::shared_ptr<SpeechJob> job);
    ~EngineSpeech();  // nobody hears it any more: cancels, and drops what was spoken
    EngineSpeech(const EngineSpeech &)             = delete;
    EngineSpeech & operator=(const EngineSpeech &) = delete;

    // Unique in its engine.
    int64_t id() const;

    // Further tokens of the answer. The speech starts with the fourth, or once it is finished; it rests where a frame
    // has no token yet. Throws Error(input), and then nothing was fed, for ids there aren't, after `finish`, and where
    // the talker's context can't hold them. Where the speech ended before its text was finished they are passed over.
    void feed(const std::vector<int32_t> & tokens);

    // No more text. Throws Error(input) where there was none at all, which ends the speech: `read` throws that as well.
    void finish();

    // The next piece; none where it takes longer than the timeout, or the last one was read. Throws what went wrong
    // with this speech, once, behind the pieces before it.
    std::optional<SpeechPiece> read(std::chrono::duration<double> timeout);

    // Whether there is nothing more to read.
    bool ended() const;

    // Ends it within a frame. What was spoken can still be heard, unless it is dropped.
    void cancel(bool drop = false);

    // `none` before the last piece was read.
    StopReason stop_reason() const;

    // Whether it has a slot, or had one.
    bool admitted() const;

    SpeechTimings timings() const;

  private:
    std::shared_ptr<EngineCore> core_;
    std::shared_ptr<SpeechJob>  job_;
};

class SpeechEngine {
  public:
    // Throws Error(input) for slots or threads that can't be, Error(memory).
    SpeechEngine(std::shared_ptr<const SpeechModel> model, const EngineParams & params);
    ~SpeechEngine();  // stops
    SpeechEngine(const SpeechEngine &)             = delete;
    SpeechEngine & operator=(const SpeechEngine &) = delete;

    // Throws Error(input) for a request that makes no sense, Error(busy) where the queue is full or the engine closed.
    std::shared_ptr<EngineSpeech> begin(SpeechRequest request);

    int64_t n_slots() const;

    // Speeches in slots, and those that wait for one.
    int64_t n_speaking() const;
    int64_t n_waiting() const;

    // Seconds until a speech that begins now has a slot, as far as the speeches so far tell.
    double expected_wait() const;

    // Ids of speeches that something can be read of, since the last call; waits for the first. Each once, until it is
    // read to where there is nothing.
    std::vector<int64_t> wait_readable(std::chrono::duration<double> timeout);

    // Takes no more speeches.
    void close();

    // Closes and waits for the speeches there are; false where they take longer.
    bool drain(std::chrono::duration<double> timeout);

    // Ends all speeches at once as cancelled, and the threads.
    void stop();

    bool stopped() const;

    // Whether code2wav has a thread of its own.
    bool overlaps() const;

    size_t cache_nbytes() const;

    // Stops every engine of this process, whoever has it, for good: before a host's runtime goes down. A further one
    // throws Error(input).
    static void stop_all();

  private:
    std::shared_ptr<EngineCore> core_;
};

}  // namespace omni

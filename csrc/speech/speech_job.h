// What engine and listener know of one speech.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <vector>

#include "models/code2wav.h"
#include "speech/speech_request.h"

namespace omni {

using EngineClock = std::chrono::steady_clock;

// Frames for code2wav: codes [groups, n_frames].
struct VocoderWork {
    std::vector<int32_t> codes;
    int64_t              n_frames = 0;
    StopReason           stop     = StopReason::none;
};

// The engine's mutex guards all but what is said to be a thread's own.
struct SpeechJob {
    int64_t       id       = 0;
    int64_t       first_id = 0;  // of the speech that it goes on from, and that from another, back to the first
    SpeechRequest request;       // never changed once the job is made, but for what is moved out when it is admitted
    int64_t       prompt_positions = 0;
    int64_t       most_buffered    = 0;  // frames; 0: any number

    std::vector<int32_t> text;  // all that was fed
    bool                 finished  = false;
    bool                 cancelled = false;
    bool                 dropped   = false;  // and nobody listens

    std::condition_variable readable;
    std::deque<SpeechPiece> pieces;
    std::exception_ptr      error;
    bool                    said_all  = false;  // the last piece is there, or the error
    bool                    heard_all = false;  // and was read
    StopReason              stop      = StopReason::none;
    bool                    announced = false;  // among the ids that wait_readable gives
    int64_t                 n_spoken  = 0;      // frames
    int64_t                 n_taken   = 0;

    std::deque<VocoderWork> works;
    bool                    vocoding  = false;  // a thread has a work of it in hand
    int64_t                 n_vocoded = 0;      // pieces
    int64_t                 n_samples = 0;
    EngineClock::time_point first_heard;  // once there are samples

    SpeechTimings           timings;
    bool                    admitted = false;  // it has a slot to speak in
    EngineClock::time_point begun, admitted_at, resting_since;
    bool                    resting = false;

    // The engine's thread alone.
    bool                 opened    = false;
    size_t               n_given   = 0;  // tokens of the text that the batch has
    bool                 all_given = false;
    std::vector<int32_t> pending;  // frames [n, groups] that make no piece yet
    int64_t              n_pending = 0;
    size_t               n_pieces  = 0;

    // Whoever vocodes.
    std::shared_ptr<Code2WavSession> vocoder;

    int64_t piece_size() const {
        const auto & sizes = request.piece_frames;
        return sizes[std::min(n_pieces, sizes.size() - 1)];
    }
};

}  // namespace omni

// What is asked of an engine, and what it says.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "speech/speech_state.h"

namespace omni {

struct EngineParams {
    int64_t                n_slots     = 1;        // speeches side by side
    int                    n_threads   = 0;        // of the CPU; 0: all cores
    int64_t                queue_limit = 1 << 20;  // speeches that wait for a slot; one more is refused
    std::shared_ptr<Probe> probe;                  // may be null
};

// What to say, and how. Either a conversation with the answer's text, or a prompt assembled elsewhere.
struct SpeechRequest {
    SpeechParams         params;
    std::vector<int32_t> conversation;  // up to and including the header of the answer
    ThinkerStates        thinker;       // of the conversation
    Speaker              speaker;
    std::vector<int32_t> text;             // what is known of the answer
    bool                 finished = true;  // nothing follows

    std::optional<TalkerPrompt> prompt;  // in the place of all that

    // The id of a speech that this one goes on from: it is never refused, takes its turn when that one ends, and before
    // that a slot that nobody waits for.
    int64_t after = 0;

    // Frames a piece of audio, the first ones and then the last again and again: small first ones are heard soon.
    std::vector<int64_t> piece_frames = { 2, 4, 8, 16, 25 };
    // Frames that are spoken before the listener takes them; the speech rests meanwhile. 0: any number.
    int64_t buffered_frames = 75;
    bool    vocoded         = true;  // false: codes alone, without samples
};

struct SpeechPiece {
    std::vector<float>   samples;
    std::vector<int32_t> codes;  // [groups, n_frames]
    int64_t              n_frames = 0;
    StopReason           stop     = StopReason::none;  // of the last piece: why the speech ended
};

// Seconds of wall time, of which those in a slot are shared with whoever else speaks.
struct SpeechTimings {
    double waiting   = 0;  // for a slot
    double prompt    = 0;
    double talker    = 0;
    double predictor = 0;
    double sampling  = 0;
    double vocoder   = 0;
    double idle      = 0;  // in a slot: for text, or for a listener who is slow
    double first     = 0;  // from the beginning to the first samples that can be heard; 0 while there are none

    int64_t            prompt_positions = 0;
    int64_t            n_frames         = 0;
    std::vector<float> frame_seconds;  // talker, predictor and sampling of each frame
};

}  // namespace omni

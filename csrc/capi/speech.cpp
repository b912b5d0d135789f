#include <cmath>
#include <limits>

#include "capi/engine_handles.h"
#include "capi/status.h"
#include "speech/speaker.h"

namespace omni {

namespace {

// An empty list where there is nothing.
template <typename T> std::vector<T> list_of(const T * values, size_t n, const char * name) {
    return n > 0 ? std::vector<T>(&required(values, name), values + n) : std::vector<T>();
}

// Of the parameters: NULL where it is not wanted, and not a list whose size was forgotten.
template <typename T> std::vector<T> wanted_list(const T * values, size_t n, const char * name) {
    if (values != nullptr && n == 0) {
        throw Error(ErrorKind::input, std::string(name) + ": 0 numbers; set how many there are, or NULL for none");
    }
    return list_of(values, n, name);
}

SamplingParams sampling_of(float temperature, int32_t top_k, float top_p, float penalty) {
    const bool sample = temperature != 0.0f;
    return { sample, sample ? temperature : 1.0f, top_k, top_p, penalty };
}

SpeechParams speech_params_of(const omni_speech_params & params) {
    SpeechParams out;
    out.talker     = sampling_of(params.temperature, params.top_k, params.top_p, params.repetition_penalty);
    out.predictor  = sampling_of(params.predictor_temperature, params.predictor_top_k, params.predictor_top_p, 1.0f);
    out.seed       = params.seed;
    out.max_frames = params.max_frames;
    out.ignore_eos = params.ignore_eos;
    return out;
}

Speaker speaker_of(const LoadedModel & loaded, const omni_speech_params & params) {
    const TalkerGeometry & geometry = loaded.model()->talker()->geometry();
    auto                   vector = wanted_list(params.speaker_vector, params.n_speaker_vector, "the speaker's vector");
    if (!vector.empty()) {
        return speaker_of_vector(geometry, std::move(vector));
    }
    return speaker_named(geometry, params.speaker != nullptr ? params.speaker : loaded.default_speaker());
}

void append(std::vector<int32_t> & ids, const std::vector<int32_t> & more) {
    ids.insert(ids.end(), more.begin(), more.end());
}

// What a chat template makes of one turn of the user, in whose text nothing is a control token.
std::vector<int32_t> conversation_of(const LoadedModel & loaded, const std::string & prompt) {
    const TextTokens &   tokens    = loaded.model()->text_tokens();
    const auto           tokenizer = loaded.tokenizer();
    std::vector<int32_t> ids{ tokens.im_start };
    append(ids, tokenizer->encode("user\n" + prompt, false));
    ids.push_back(tokens.im_end);
    append(ids, tokenizer->encode("\n", false));
    ids.push_back(tokens.im_start);
    append(ids, tokenizer->encode("assistant\n", false));
    return ids;
}

SpeechRequest request_of(const LoadedModel & loaded, const omni_speech_params & params) {
    if (params.max_frames < 1 || params.buffered_frames < 0) {
        throw Error(ErrorKind::input, "a speech has at least one frame, and no fewer than none are spoken ahead");
    }
    SpeechRequest request;
    request.params          = speech_params_of(params);
    request.speaker         = speaker_of(loaded, params);
    request.finished        = false;
    request.buffered_frames = params.buffered_frames;
    request.conversation    = wanted_list(params.conversation, params.n_conversation, "the conversation");
    request.thinker.hidden = wanted_list(params.thinker_hidden, params.n_thinker_hidden, "the thinker's hidden states");
    if (request.conversation.empty()) {
        if (!request.thinker.hidden.empty()) {
            throw Error(ErrorKind::input, "the thinker's hidden states are of a conversation, and there is none");
        }
        request.conversation = conversation_of(loaded, params.prompt != nullptr ? params.prompt : "");
    }
    return request;
}

std::chrono::duration<double> timeout_of(double seconds) {
    if (std::isnan(seconds)) {
        throw Error(ErrorKind::input, "the time to wait is no number");
    }
    return std::chrono::duration<double>(std::min(seconds, 1e6));
}

// Up to `seconds`, for ever where they are negative.
omni_status read_piece(omni_speech & speech, double seconds) {
    const auto                 timeout = timeout_of(seconds < 0 ? std::numeric_limits<double>::max() : seconds);
    std::optional<SpeechPiece> piece;
    do {
        piece = speech.speech->read(timeout);
    } while (!piece && !speech.speech->ended() && seconds < 0);
    if (!piece) {
        return speech.speech->ended() ? OMNI_END : OMNI_TIMEOUT;
    }
    speech.piece = std::move(*piece);
    return OMNI_OK;
}

void refuse_finished(const omni_speech & speech) {
    if (speech.finished) {
        throw Error(ErrorKind::input, "the text of this speech is finished; begin another");
    }
}

void give(const omni_speech & speech, const std::vector<int32_t> & ids) {
    if (!ids.empty()) {
        speech.speech->feed(ids);
    }
}

omni_status said_of_cut(bool cut) {
    if (cut) {
        note_error("a character that was cut in the text, and never went on, was left out; the rest is spoken");
    }
    return cut ? OMNI_CUT : OMNI_OK;
}

// Held is what the speech took, or, where it refused that, what was held before.
omni_status feed_text(omni_speech & speech, std::string_view text) {
    TokenStream next = speech.text ? *speech.text : TokenStream(speech.loaded->tokenizer());
    const bool  cut  = next.leave_out_cut(text);
    give(speech, next.feed(text));
    speech.text = std::move(next);
    return said_of_cut(cut);
}

omni_status feed_tokens(omni_speech & speech, const std::vector<int32_t> & ids) {
    if (!speech.text) {
        give(speech, ids);
        return OMNI_OK;
    }
    TokenStream          next = *speech.text;
    const bool           cut  = next.leave_out_cut();
    std::vector<int32_t> all  = next.finish();
    append(all, ids);
    give(speech, all);
    speech.text = std::move(next);
    return said_of_cut(cut);
}

// Whatever of it fails, the text is finished: nobody may wait for more of it for ever.
omni_status finish(omni_speech & speech) {
    speech.finished            = true;
    omni_status        status  = OMNI_OK;
    std::exception_ptr failure = nullptr;
    try {
        status = feed_tokens(speech, {});
    } catch (...) {
        failure = std::current_exception();
    }
    try {
        speech.speech->finish();
    } catch (...) {
        failure = failure ? failure : std::current_exception();
    }
    if (failure) {
        std::rethrow_exception(failure);
    }
    return status;
}

omni_stop_reason reason_of(StopReason reason) {
    switch (reason) {
        case StopReason::none: return OMNI_STOP_NONE;
        case StopReason::eos: return OMNI_STOP_EOS;
        case StopReason::frame_limit: return OMNI_STOP_FRAME_LIMIT;
        case StopReason::context_full: return OMNI_STOP_CONTEXT_FULL;
        case StopReason::cancelled: return OMNI_STOP_CANCELLED;
        case StopReason::failed: return OMNI_STOP_FAILED;
    }
    return OMNI_STOP_NONE;
}

}  // namespace

}  // namespace omni

extern "C" {

omni_speech_params omni_speech_default_params(const omni_model * model) {
    omni::SpeechParams defaults;
    if (omni_model_speaks(model)) {
        defaults = omni::default_speech_params(*model->loaded->model());
    }
    omni_speech_params params{};
    params.abi_version           = OMNI_ABI_VERSION;
    params.max_frames            = defaults.max_frames;
    params.temperature           = defaults.talker.sample ? defaults.talker.temperature : 0.0f;
    params.top_k                 = (int32_t) defaults.talker.top_k;
    params.top_p                 = defaults.talker.top_p;
    params.repetition_penalty    = defaults.talker.repetition_penalty;
    params.predictor_temperature = defaults.predictor.sample ? defaults.predictor.temperature : 0.0f;
    params.predictor_top_k       = (int32_t) defaults.predictor.top_k;
    params.predictor_top_p       = defaults.predictor.top_p;
    params.buffered_frames       = (int32_t) omni::SpeechRequest{}.buffered_frames;
    return params;
}

omni_status omni_speech_begin(omni_engine * engine, const omni_speech_params * params, omni_speech ** speech) {
    return omni::guarded([&] {
        omni::required(speech, "the place of the speech") = nullptr;
        const auto & loaded                               = omni::required(engine, "the engine").loaded;
        const auto   model                                = omni_model{ loaded };
        const auto   chosen = omni::checked_params(params, omni_speech_default_params(&model));
        auto         begun  = std::make_unique<omni_speech>();
        begun->loaded       = loaded;
        begun->speech       = engine->engine->begin(omni::request_of(*loaded, chosen));
        *speech             = begun.release();
        return OMNI_OK;
    });
}

omni_status omni_speech_feed_text(omni_speech * speech, const char * text, size_t size) {
    return omni::guarded([&] {
        omni::refuse_finished(omni::required(speech, "the speech"));
        return omni::feed_text(*speech, size > 0 ? std::string_view(&omni::required(text, "the text"), size) : "");
    });
}

omni_status omni_speech_feed_tokens(omni_speech * speech, const int32_t * ids, size_t n) {
    return omni::guarded([&] {
        omni::refuse_finished(omni::required(speech, "the speech"));
        return omni::feed_tokens(*speech, omni::list_of(ids, n, "the ids"));
    });
}

omni_status omni_speech_finish(omni_speech * speech) {
    return omni::guarded([&] {
        omni::required(speech, "the speech");
        return speech->finished ? (omni_status) OMNI_OK : omni::finish(*speech);
    });
}

omni_status omni_speech_read(omni_speech * speech, double seconds, omni_piece * piece) {
    return omni::guarded([&] {
        omni::required(speech, "the speech");
        omni::required(piece, "the place of the piece") = {};
        const omni_status status                        = omni::read_piece(*speech, seconds);
        if (status == OMNI_OK) {
            const omni::SpeechPiece & read = speech->piece;
            *piece = { read.samples.data(), read.samples.size(), read.codes.data(), read.n_frames,
                       omni::reason_of(read.stop) };
        }
        return status;
    });
}

omni_status omni_speech_read_all(omni_speech * speech, omni_piece_callback callback, void * user_data) {
    if (callback == nullptr) {
        omni::note_error("NULL was given for the callback");
        return OMNI_ERROR_ARGUMENT;
    }
    omni_piece piece;
    for (;;) {
        const omni_status status = omni_speech_read(speech, -1, &piece);
        if (status != OMNI_OK) {
            return status == OMNI_END ? OMNI_OK : status;
        }
        if (!callback(&piece, user_data)) {
            omni_speech_cancel(speech);
            omni::note_error("the speech was stopped by the program");
            return OMNI_ERROR_STOPPED;
        }
    }
}

omni_status omni_speech_cancel(omni_speech * speech) {
    return omni::guarded([&] {
        omni::required(speech, "the speech").speech->cancel();
        return OMNI_OK;
    });
}

omni_stop_reason omni_speech_stop_reason(const omni_speech * speech) {
    return speech != nullptr ? omni::reason_of(speech->speech->stop_reason()) : OMNI_STOP_NONE;
}

omni_status omni_speech_timings(const omni_speech * speech, omni_timings * timings) {
    return omni::guarded([&] {
        omni::required(timings, "the place of the timings");
        omni::checked_params(timings, *timings);
        const omni::SpeechTimings own = omni::required(speech, "the speech").speech->timings();
        *timings = { OMNI_ABI_VERSION, (int32_t) own.n_frames, own.waiting, own.prompt, own.talker,
                     own.predictor,    own.sampling,           own.vocoder, own.idle,   own.first };
        return OMNI_OK;
    });
}

void omni_speech_free(omni_speech * speech) {
    omni::guarded([&] {
        delete speech;
        return OMNI_OK;
    });
}
}

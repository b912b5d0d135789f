/*
 * omniggml: Qwen3-Omni speech from GGUF files, for C and whatever calls C.
 *
 * Speak a text:
 *
 *     omni_model * model = NULL;
 *     omni_model_params load = omni_model_default_params();
 *     if (omni_model_load("omni-speech.gguf", &load, &model) != OMNI_OK) { puts(omni_last_error()); ... }
 *
 *     omni_engine * engine = NULL;
 *     omni_engine_params slots = omni_engine_default_params();
 *     if (omni_engine_new(model, &slots, &engine) != OMNI_OK) { ... }
 *
 *     omni_speech * speech = NULL;
 *     omni_speech_params say = omni_speech_default_params(model);
 *     say.speaker = "ethan";
 *     if (omni_speech_begin(engine, &say, &speech) != OMNI_OK) { ... }
 *     if (omni_speech_feed_text(speech, "hello world", 11) < 0) { ... }   // or bit by bit, as it is written
 *     if (omni_speech_finish(speech) < 0) { ... }                         // OMNI_CUT is no failure
 *
 *     omni_piece piece;
 *     omni_status status;
 *     while ((status = omni_speech_read(speech, -1, &piece)) == OMNI_OK) {
 *         play(piece.samples, piece.n_samples);              // float, -1 to 1, omni_model_sample_rate() a second
 *     }
 *     if (status != OMNI_END) { puts(omni_last_error()); ... }
 *     omni_speech_free(speech); omni_engine_free(engine); omni_model_free(model);
 *
 * Errors. A function that can fail returns a status: OMNI_OK (0), a positive number for what is no failure, a negative
 * one for a failure. omni_last_error() is one sentence about the last failure in the calling thread. No exception and
 * no abort of ours leaves a function; what was passed to one that failed is as it was, and so is the handle, but for
 * omni_speech_finish(), which finishes the text even so.
 *
 * Handles are opaque. A model stays in memory until the last engine, vocoder or answer made from it is freed, so they
 * may be freed in any order. Freeing NULL does nothing. What is passed in is copied, and may be freed after the call.
 *
 * Threads. Each function says which of these it is:
 *   [any]    may be called from any thread, at the same time as any other;
 *   [one]    not at the same time as another call with the same handle.
 *
 * Text is UTF-8, spoken as it is written: writing figures and signs out as words is the Python package's part. Files
 * are omniggml's own (`omniggml convert` and `omniggml quantize` write them); other families open in Python.
 */
#ifndef OMNIGGML_H
#define OMNIGGML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32) && defined(OMNI_SHARED)
#ifdef OMNI_BUILD
#define OMNI_API __declspec(dllexport)
#else
#define OMNI_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define OMNI_API __attribute__((visibility("default")))
#else
#define OMNI_API
#endif

/* Changes with every change that a compiled program would notice. The first member of every structure of parameters. */
#define OMNI_ABI_VERSION 1u

#ifdef __cplusplus
extern "C" {
#endif

typedef int32_t omni_status;

enum {
    OMNI_OK      = 0,
    OMNI_TIMEOUT = 1, /* nothing within the time; ask again */
    OMNI_END     = 2, /* there is no more */
    OMNI_CUT     = 3, /* a character that was cut was left out of the text; the rest was taken */

    OMNI_ERROR_ARGUMENT  = -1, /* an argument that makes no sense */
    OMNI_ERROR_FILE      = -2, /* a file that can't be used */
    OMNI_ERROR_MEMORY    = -3,
    OMNI_ERROR_NUMERIC   = -4, /* NaN or infinity where a number is needed */
    OMNI_ERROR_INTERNAL  = -5,
    OMNI_ERROR_BUSY      = -6, /* the queue is full */
    OMNI_ERROR_STOPPED   = -7, /* by the program's own callback */
    OMNI_ERROR_TOO_SMALL = -8  /* the buffer; how much is needed was stored */
};

typedef enum omni_stop_reason {
    OMNI_STOP_NONE         = 0, /* it goes on, or not all of it was read */
    OMNI_STOP_EOS          = 1, /* the text was spoken to its end */
    OMNI_STOP_FRAME_LIMIT  = 2,
    OMNI_STOP_CONTEXT_FULL = 3,
    OMNI_STOP_CANCELLED    = 4,
    OMNI_STOP_FAILED       = 5 /* omni_speech_read said how */
} omni_stop_reason;

typedef enum omni_precision { /* of code2wav on a CPU */
                              OMNI_PRECISION_AUTO  = 0,
                              OMNI_PRECISION_F32   = 1,
                              OMNI_PRECISION_BF16  = 2,
                              OMNI_PRECISION_PLAIN = 3 /* ordinary ggml nodes */
} omni_precision;

typedef struct omni_model   omni_model;
typedef struct omni_thinker omni_thinker;
typedef struct omni_answer  omni_answer;
typedef struct omni_vocoder omni_vocoder;
typedef struct omni_probe   omni_probe;
typedef struct omni_engine  omni_engine;
typedef struct omni_speech  omni_speech;

/* --- the library ------------------------------------------------------------------------------------------------- */

/* [any] OMNI_ABI_VERSION of the library that is linked. */
OMNI_API uint32_t omni_abi_version(void);

/* [any] Versions, such as "0.1.0". */
OMNI_API const char * omni_version(void);
OMNI_API const char * omni_ggml_version(void);

/* [any] One sentence about the last failure in this thread, "" before any; valid until the next call in this thread. */
OMNI_API const char * omni_last_error(void);

/* [any] Lines that ggml logs, with its levels (1 debug, 2 info, 3 warning, 4 error, 5 goes on); NULL: to stderr, as in
 * the beginning. The callback may be called from any thread, and must not call the library. The setting is ggml's own:
 * with a ggml that the program brings, it is the program's as well. */
typedef void (*omni_log_callback)(int32_t level, const char * text, void * user_data);
OMNI_API void omni_log_set(omni_log_callback callback, void * user_data);

/* [any] Devices by which omni_model_params.device may be named, from 0 on; NULL behind the last. */
OMNI_API const char * omni_device_name(int32_t index);

/* --- speech files --------------------------------------------------------------------------------------------------
 */

/* Told what part of a file is loaded, 0 to 1, by the threads that load, one at a time; false stops the loading, which
 * then returns OMNI_ERROR_STOPPED. */
typedef bool (*omni_progress_callback)(float progress, void * user_data);

typedef struct omni_model_params {
    uint32_t               abi_version; /* OMNI_ABI_VERSION */
    int32_t                precision;   /* omni_precision */
    const char *           device;      /* NULL or "auto": the first GPU, else the CPU; not "" */
    bool                   mmap;        /* weights may stay in the file's pages; it must not be written to meanwhile */
    omni_progress_callback progress;    /* may be NULL */
    void *                 progress_data;
} omni_model_params;

/* [any] */
OMNI_API omni_model_params omni_model_default_params(void);

/* [any] Loads a speech file. OMNI_ERROR_FILE for one that can't be used. `params` may be NULL. */
OMNI_API omni_status omni_model_load(const char * path, const omni_model_params * params, omni_model ** model);

/* [any] */
OMNI_API void omni_model_free(omni_model * model);

/* [any] Whether there is more than code2wav. */
OMNI_API bool omni_model_speaks(const omni_model * model);

/* [any] Names of the speakers, from 0 on, sorted; NULL behind the last. They live as long as the model. */
OMNI_API const char * omni_model_speaker(const omni_model * model, int32_t index);

/* [any] The speaker where none is named; NULL where nobody speaks. */
OMNI_API const char * omni_model_default_speaker(const omni_model * model);

/* [any] Samples a second; codes of a frame; codes there are; samples of the first n frames; bytes of weights. 0 for
 * NULL. */
OMNI_API int32_t  omni_model_sample_rate(const omni_model * model);
OMNI_API int32_t  omni_model_n_groups(const omni_model * model);
OMNI_API int32_t  omni_model_codebook_size(const omni_model * model);
OMNI_API int64_t  omni_model_n_samples(const omni_model * model, int64_t n_frames);
OMNI_API uint64_t omni_model_nbytes(const omni_model * model);

/* --- text ------------------------------------------------------------------------------------------------------------
 */

/* [any] Ids of `size` bytes of text. Stores how many in *n, and as many as there is room for in `ids`, which may be
 * NULL where `capacity` is 0; OMNI_ERROR_TOO_SMALL where that isn't all. `parse_special`: "<|im_end|>" and the like
 * become control tokens; else they are letters like any others. */
OMNI_API omni_status omni_tokenize(const omni_model * model, const char * text, size_t size, bool parse_special,
                                   int32_t * ids, size_t capacity, size_t * n);

/* [any] Text of ids, without a zero at its end; sizes as above. What is no UTF-8 becomes U+FFFD. */
OMNI_API omni_status omni_detokenize(const omni_model * model, const int32_t * ids, size_t n, bool skip_special,
                                     char * text, size_t capacity, size_t * size);

/* [any] The id of a token by its exact text; -1 where there is none. */
OMNI_API int32_t omni_token_id(const omni_model * model, const char * token);

/* --- probes ----------------------------------------------------------------------------------------------------------
 */

/* What a module computed: its Hugging Face path, and values [batch, time, heads, channels of a head], the last axis
 * fastest, valid during the call. It comes in the thread that computes, and must not call the library. */
typedef void (*omni_probe_callback)(const char * name, const int64_t shape[4], const float * values, void * user_data);

/* [any] Modules whose paths fit a pattern: `*` for one part of a path, `**` for any number of them. */
OMNI_API omni_status omni_probe_new(const char * const * patterns, size_t n_patterns, omni_probe_callback callback,
                                    void * user_data, omni_probe ** probe);

/* [any] What was made with it keeps it. */
OMNI_API void omni_probe_free(omni_probe * probe);

/* --- code2wav alone: codes to samples
 * ----------------------------------------------------------------------------------- */

/* [any] One stream of audio. `n_threads` 0: as many as there are cores. `probe` may be NULL. */
OMNI_API omni_status omni_vocoder_new(const omni_model * model, int32_t n_threads, omni_probe * probe,
                                      omni_vocoder ** vocoder);

/* [one] The frames that follow those decoded so far: codes [n_groups][n_frames], each group's one after another. Stores
 * the number of samples that they complete in *n_samples; OMNI_ERROR_TOO_SMALL, and nothing is decoded, where
 * `capacity` is less. A stream in pieces has the samples of the whole, bit for bit, unless there is a probe: the
 * modules that it looks at are computed one by one, without the kernels that join them, so that samples differ by
 * rounding from those without it (all of the built-in voice's code2wav: up to 2e-6 with OMNI_PRECISION_F32, 3e-3 with
 * OMNI_PRECISION_BF16, not at all with OMNI_PRECISION_PLAIN), and may so differ in pieces from the whole. */
OMNI_API omni_status omni_vocoder_decode(omni_vocoder * vocoder, const int32_t * codes, int64_t n_frames,
                                         float * samples, size_t capacity, size_t * n_samples);

/* [one] */
OMNI_API void omni_vocoder_free(omni_vocoder * vocoder);

/* --- the thinker: an answer, token by token
 * ------------------------------------------------------------------------------ */

/* [any] Loads a thinker file; as omni_model_load. `precision` is of no account. */
OMNI_API omni_status omni_thinker_load(const char * path, const omni_model_params * params, omni_thinker ** thinker);

/* [any] */
OMNI_API void omni_thinker_free(omni_thinker * thinker);

typedef struct omni_answer_params {
    uint32_t        abi_version; /* OMNI_ABI_VERSION */
    int32_t         n_threads;   /* 0: as many as there are cores */
    uint64_t        seed;        /* the same seed gives the same answer */
    int64_t         max_tokens;
    float           temperature; /* 0: always the most probable token */
    int32_t         top_k;       /* 0: all */
    float           top_p;
    float           repetition_penalty; /* 1: none */
    const int32_t * stop_tokens;        /* end the answer, and are no part of it */
    size_t          n_stop_tokens;
    omni_probe *    probe; /* may be NULL */
} omni_answer_params;

/* [any] The file's own. `thinker` may be NULL. */
OMNI_API omni_answer_params omni_answer_default_params(const omni_thinker * thinker);

/* [any] Reads the prompt: ids up to where the answer begins. */
OMNI_API omni_status omni_answer_begin(const omni_thinker * thinker, const int32_t * prompt, size_t n_prompt,
                                       const omni_answer_params * params, omni_answer ** answer);

/* [one] The next token; OMNI_END behind the last. */
OMNI_API omni_status omni_answer_next(omni_answer * answer, int32_t * id);

/* [one] */
OMNI_API void omni_answer_free(omni_answer * answer);

/* --- the engine: speeches side by side
 * ----------------------------------------------------------------------------------- */

typedef struct omni_engine_params {
    uint32_t     abi_version; /* OMNI_ABI_VERSION */
    int32_t      n_slots;     /* speeches side by side */
    int32_t      n_threads;   /* 0: as many as there are cores */
    int32_t      queue_limit; /* speeches that wait for a slot, 0 or more; one more is OMNI_ERROR_BUSY */
    omni_probe * probe;       /* may be NULL */
} omni_engine_params;

/* [any] */
OMNI_API omni_engine_params omni_engine_default_params(void);

/* [any] `params` may be NULL. The engine's own threads speak. */
OMNI_API omni_status omni_engine_new(const omni_model * model, const omni_engine_params * params,
                                     omni_engine ** engine);

/* [one] Ends its speeches as cancelled; they can still be read and have to be freed. */
OMNI_API void omni_engine_free(omni_engine * engine);

/* [any] Speeches that have a slot, and those that wait for one. */
OMNI_API int64_t omni_engine_n_speaking(const omni_engine * engine);
OMNI_API int64_t omni_engine_n_waiting(const omni_engine * engine);

typedef struct omni_speech_params {
    uint32_t        abi_version; /* OMNI_ABI_VERSION */
    bool            ignore_eos;  /* never end before max_frames */
    uint64_t        seed;        /* the same seed gives the same samples, whatever else is spoken */
    int64_t         max_frames;
    float           temperature; /* of the talker; 0: always the most probable code */
    int32_t         top_k;       /* 0: all */
    float           top_p;
    float           repetition_penalty;    /* 1: none */
    float           predictor_temperature; /* of the code predictor, in the same way */
    int32_t         predictor_top_k;
    float           predictor_top_p;
    int32_t         buffered_frames; /* spoken ahead of the reader; then the speech rests. 0: any number */
    const char *    speaker;         /* a name, or a mixture as "ethan:0.7,chelsie:0.3" */
    const float *   speaker_vector;  /* in its place: as many numbers as the talker is wide; or NULL */
    size_t          n_speaker_vector;
    const char *    prompt;       /* what the user is taken to have said */
    const int32_t * conversation; /* in the place of `prompt`: ids up to where the answer begins */
    size_t          n_conversation;
    const float *
        thinker_hidden; /* [n_conversation][thinker's width], read at audio, image and video positions; may be NULL */
    size_t n_thinker_hidden; /* numbers in it */
} omni_speech_params;

/* [any] The file's own. `model` may be NULL. */
OMNI_API omni_speech_params omni_speech_default_params(const omni_model * model);

/* [any] A speech without text so far. It takes a slot, or waits for one. */
OMNI_API omni_status omni_speech_begin(omni_engine * engine, const omni_speech_params * params, omni_speech ** speech);

/* [one] Further text, cut anywhere, inside a character as well; what is spoken is that of the whole text at once. Held
 * back is what later text may still change: the last word and what is behind it. The speech starts with the fourth
 * token, and rests where it has none.
 *
 * OMNI_ERROR_ARGUMENT for what is no UTF-8, for more than the talker's context holds, and after omni_speech_finish():
 * then nothing of this call was taken, and other text may follow. OMNI_CUT where an earlier call ended inside a
 * character with which this text doesn't go on: that beginning was left out, and this text taken. Of a speech that has
 * ended before its text was finished (at a limit, cancelled) further text is passed over. */
OMNI_API omni_status omni_speech_feed_text(omni_speech * speech, const char * text, size_t size);

/* [one] Further tokens, as a language model samples them. What was held back of a text comes before them. They are
 * spoken as they are: to the talker control tokens, "<|im_end|>" and the like, are tokens of the text as well, so leave
 * out those by which the model ended; tokens that are parts of a character are spoken with their other parts. Statuses
 * as of omni_speech_feed_text(); OMNI_ERROR_ARGUMENT for ids that there aren't. */
OMNI_API omni_status omni_speech_feed_tokens(omni_speech * speech, const int32_t * ids, size_t n);

/* [one] No more text, whatever is returned; a second call does nothing and returns OMNI_OK. What was held back is
 * spoken; OMNI_CUT where it ended inside a character, which was left out. After a failure what was fed before is spoken
 * without what was held back; where there was nothing, the speech has ended: OMNI_STOP_FAILED, and omni_speech_read()
 * returns the failure once. */
OMNI_API omni_status omni_speech_finish(omni_speech * speech);

typedef struct omni_piece {
    const float *   samples; /* valid until the next piece is read, or the speech is freed */
    size_t          n_samples;
    const int32_t * codes; /* [n_groups][n_frames] */
    int64_t         n_frames;
    int32_t         stop_reason; /* omni_stop_reason; of the last piece */
} omni_piece;

/* [one] The next piece of audio; not at the same time as another read, but beside every other function of the speech.
 * Waits up to `seconds`, for ever where they are negative: OMNI_TIMEOUT where there is none by then, OMNI_END behind
 * the last. */
OMNI_API omni_status omni_speech_read(omni_speech * speech, double seconds, omni_piece * piece);

/* [one] Reads to the end, in this thread. The callback says whether it wants more: false cancels the speech, and
 * OMNI_ERROR_STOPPED is returned. */
typedef bool (*omni_piece_callback)(const omni_piece * piece, void * user_data);
OMNI_API omni_status omni_speech_read_all(omni_speech * speech, omni_piece_callback callback, void * user_data);

/* [any] Ends it within a frame. What was spoken can still be read. */
OMNI_API omni_status omni_speech_cancel(omni_speech * speech);

/* [any] Why it ended, once the last piece was read. */
OMNI_API omni_stop_reason omni_speech_stop_reason(const omni_speech * speech);

typedef struct omni_timings { /* seconds */
    uint32_t abi_version;     /* OMNI_ABI_VERSION, to be set before the call */
    int32_t  n_frames;
    double   waiting; /* for a slot */
    double   prompt;
    double   talker;
    double   predictor;
    double   sampling;
    double   vocoder;
    double   idle;  /* in a slot: for text, or for a reader who is slow */
    double   first; /* from the beginning to the first samples; 0 before */
} omni_timings;

/* [any] */
OMNI_API omni_status omni_speech_timings(const omni_speech * speech, omni_timings * timings);

/* [one] Cancels it where it goes on. */
OMNI_API void omni_speech_free(omni_speech * speech);

#ifdef __cplusplus
}
#endif

#endif /* OMNIGGML_H */

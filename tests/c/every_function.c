/* Calls every function of omniggml.h, with good arguments and with bad ones: every_function SPEECH THINKER DAMAGED TEXT
 * OUT
 *
 * OUT/tokens.txt, OUT/speech.f32, OUT/decoded.f32 and OUT/answer.txt are what Python is asked for as well. */
#include <omniggml.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                            \
    do {                                                                                            \
        if (!(condition)) {                                                                         \
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #condition, omni_last_error()); \
            exit(1);                                                                                \
        }                                                                                           \
    } while (0)

/* A failure of that status, with a sentence. */
#define FAILS(status, call)                   \
    do {                                      \
        const omni_status got_ = (call);      \
        CHECK(got_ == (status));              \
        CHECK(strlen(omni_last_error()) > 4); \
    } while (0)

enum { GROUPS_AT_MOST = 64, FRAMES = 24 };

static FILE * open_in(const char * directory, const char * name) {
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE * file = fopen(path, "wb");
    CHECK(file != NULL);
    return file;
}

static int n_lines, n_captured, n_progress;

static void on_log(int32_t level, const char * text, void * user_data) {
    CHECK(level >= 0 && text != NULL && user_data == &n_lines);
    ++n_lines;
}

static bool on_progress(float progress, void * user_data) {
    CHECK(progress > 0 && progress <= 1);
    ++n_progress;
    return user_data == NULL;
}

static void on_capture(const char * name, const int64_t shape[4], const float * values, void * user_data) {
    CHECK(strstr(name, (const char *) user_data) != NULL);
    CHECK(shape[0] * shape[1] * shape[2] * shape[3] > 0);
    CHECK(values[0] == values[0]);
    ++n_captured;
}

static void test_library(void) {
    CHECK(omni_abi_version() == OMNI_ABI_VERSION);
    CHECK(strlen(omni_version()) > 2 && strlen(omni_ggml_version()) > 2);
    CHECK(omni_device_name(0) != NULL && omni_device_name(-1) == NULL && omni_device_name(1000) == NULL);
    omni_log_set(on_log, &n_lines);
    omni_log_set(NULL, NULL);
    omni_log_set(on_log, &n_lines);
}

static omni_model * load(const char * path) {
    omni_model *      model  = NULL;
    omni_model_params params = omni_model_default_params();
    params.device            = "cpu";
    params.precision         = OMNI_PRECISION_F32;
    params.progress          = on_progress;
    CHECK(omni_model_load(path, &params, &model) == OMNI_OK);
    CHECK(n_progress > 1);
    return model;
}

static void test_bad_loading(const char * path, const char * thinker, const char * damaged) {
    omni_model *      model  = NULL;
    omni_model_params params = omni_model_default_params();
    FAILS(OMNI_ERROR_ARGUMENT, omni_model_load(NULL, &params, &model));
    FAILS(OMNI_ERROR_ARGUMENT, omni_model_load(path, &params, NULL));
    FAILS(OMNI_ERROR_FILE, omni_model_load("/nowhere/at/all.gguf", &params, &model));
    FAILS(OMNI_ERROR_FILE, omni_model_load(damaged, &params, &model));
    FAILS(OMNI_ERROR_FILE, omni_model_load(thinker, &params, &model));
    CHECK(strstr(omni_last_error(), "Python") != NULL);
    params.device = "";
    FAILS(OMNI_ERROR_ARGUMENT, omni_model_load(path, &params, &model));
    params.device = "no such device";
    FAILS(OMNI_ERROR_ARGUMENT, omni_model_load(path, &params, &model));
    params           = omni_model_default_params();
    params.precision = 77;
    FAILS(OMNI_ERROR_ARGUMENT, omni_model_load(path, &params, &model));
    params             = omni_model_default_params();
    params.abi_version = 99;
    FAILS(OMNI_ERROR_ARGUMENT, omni_model_load(path, &params, &model));
    CHECK(strstr(omni_last_error(), "99") != NULL);
    params               = omni_model_default_params();
    params.progress      = on_progress;
    params.progress_data = &params;
    FAILS(OMNI_ERROR_STOPPED, omni_model_load(path, &params, &model));
    CHECK(model == NULL);
    omni_thinker * none = NULL;
    FAILS(OMNI_ERROR_FILE, omni_thinker_load(path, NULL, &none));
    FAILS(OMNI_ERROR_FILE, omni_thinker_load(damaged, NULL, &none));
    FAILS(OMNI_ERROR_ARGUMENT, omni_thinker_load(NULL, NULL, &none));
    FAILS(OMNI_ERROR_ARGUMENT, omni_thinker_load(thinker, NULL, NULL));
    CHECK(none == NULL);
}

static void test_model(const omni_model * model) {
    CHECK(omni_model_speaks(model) && !omni_model_speaks(NULL));
    CHECK(omni_model_speaker(model, 0) != NULL);
    CHECK(omni_model_speaker(model, -1) == NULL && omni_model_speaker(model, 1 << 30) == NULL);
    CHECK(omni_model_speaker(NULL, 0) == NULL);
    CHECK(omni_model_default_speaker(model) != NULL && omni_model_default_speaker(NULL) == NULL);
    CHECK(omni_model_sample_rate(model) > 0 && omni_model_sample_rate(NULL) == 0);
    CHECK(omni_model_n_groups(model) > 1 && omni_model_n_groups(NULL) == 0);
    CHECK(omni_model_codebook_size(model) > 1 && omni_model_codebook_size(NULL) == 0);
    CHECK(omni_model_n_samples(model, 10) > 0 && omni_model_n_samples(model, 0) == 0);
    CHECK(omni_model_n_samples(model, -5) == 0 && omni_model_n_samples(NULL, 10) == 0);
    CHECK(omni_model_nbytes(model) > 1000 && omni_model_nbytes(NULL) == 0);
}

static void test_text(const omni_model * model, const char * text, const char * out) {
    size_t  n = 0, again = 0;
    int32_t few[2] = { -1, -1 };
    FAILS(OMNI_ERROR_TOO_SMALL, omni_tokenize(model, text, strlen(text), false, NULL, 0, &n));
    CHECK(n > 2);
    FAILS(OMNI_ERROR_TOO_SMALL, omni_tokenize(model, text, strlen(text), false, few, 2, &again));
    CHECK(again == n && few[0] >= 0 && few[1] >= 0);
    int32_t * ids = malloc(n * sizeof(*ids));
    CHECK(omni_tokenize(model, text, strlen(text), false, ids, n, &again) == OMNI_OK && again == n);
    FILE * file = open_in(out, "tokens.txt");
    for (size_t i = 0; i < n; ++i) {
        fprintf(file, "%d ", (int) ids[i]);
    }
    fclose(file);
    char * back = malloc(4 * n + 400);
    CHECK(omni_detokenize(model, ids, n, true, back, 4 * n + 400, &again) == OMNI_OK);
    CHECK(again == strlen(text) && memcmp(back, text, again) == 0);
    FAILS(OMNI_ERROR_TOO_SMALL, omni_detokenize(model, ids, n, true, back, 1, &again));
    CHECK(omni_detokenize(model, NULL, 0, true, NULL, 0, &again) == OMNI_OK && again == 0);
    const int32_t wrong[] = { -1, 1 << 30 };
    FAILS(OMNI_ERROR_ARGUMENT, omni_detokenize(model, wrong, 1, true, back, 4, &again));
    FAILS(OMNI_ERROR_ARGUMENT, omni_detokenize(model, wrong + 1, 1, true, back, 4, &again));
    FAILS(OMNI_ERROR_ARGUMENT, omni_detokenize(model, NULL, 3, true, back, 4, &again));
    FAILS(OMNI_ERROR_ARGUMENT, omni_detokenize(NULL, ids, n, true, back, 4, &again));
    FAILS(OMNI_ERROR_ARGUMENT, omni_detokenize(model, ids, n, true, NULL, 4, &again));
    FAILS(OMNI_ERROR_ARGUMENT, omni_tokenize(NULL, text, 3, false, few, 2, &again));
    FAILS(OMNI_ERROR_ARGUMENT, omni_tokenize(model, NULL, 3, false, few, 2, &again));
    FAILS(OMNI_ERROR_ARGUMENT, omni_tokenize(model, text, 3, false, NULL, 2, &again));
    FAILS(OMNI_ERROR_ARGUMENT, omni_tokenize(model, text, 3, false, few, 2, NULL));
    FAILS(OMNI_ERROR_ARGUMENT, omni_tokenize(model, "\xff", 1, false, few, 2, &again));
    CHECK(omni_tokenize(model, NULL, 0, false, NULL, 0, &again) == OMNI_OK && again == 0);
    const int32_t end = omni_token_id(model, "<|im_end|>");
    CHECK(end > 0 && omni_token_id(model, "no such token") == -1);
    CHECK(omni_token_id(NULL, "a") == -1 && omni_token_id(model, NULL) == -1);
    CHECK(omni_tokenize(model, "<|im_end|>", 10, true, few, 2, &again) == OMNI_OK && again == 1 && few[0] == end);
    free(ids);
    free(back);
}

static void test_vocoder(const omni_model * model, const char * out) {
    static int32_t codes[GROUPS_AT_MOST * FRAMES], half[GROUPS_AT_MOST * FRAMES];
    const int32_t  groups = omni_model_n_groups(model);
    const int64_t  total  = omni_model_n_samples(model, FRAMES);
    CHECK(groups <= GROUPS_AT_MOST);
    for (int32_t i = 0; i < groups * FRAMES; ++i) {
        codes[i] = i * 31 % omni_model_codebook_size(model);
    }
    const char *   patterns[] = { "code2wav.decoder.*" };
    omni_probe *   probe      = NULL;
    omni_vocoder * whole      = NULL;
    FAILS(OMNI_ERROR_ARGUMENT, omni_probe_new(patterns, 1, NULL, NULL, &probe));
    FAILS(OMNI_ERROR_ARGUMENT, omni_probe_new(NULL, 1, on_capture, NULL, &probe));
    FAILS(OMNI_ERROR_ARGUMENT, omni_probe_new(patterns, 1, on_capture, NULL, NULL));
    static char decoder[] = "code2wav.decoder.";
    CHECK(omni_probe_new(patterns, 1, on_capture, decoder, &probe) == OMNI_OK);
    FAILS(OMNI_ERROR_ARGUMENT, omni_vocoder_new(NULL, 1, NULL, &whole));
    FAILS(OMNI_ERROR_ARGUMENT, omni_vocoder_new(model, -3, NULL, &whole));
    FAILS(OMNI_ERROR_ARGUMENT, omni_vocoder_new(model, 1, NULL, NULL));
    CHECK(omni_vocoder_new(model, 1, NULL, &whole) == OMNI_OK);

    float * samples = malloc((size_t) total * sizeof(*samples));
    float * pieces  = malloc((size_t) total * sizeof(*samples));
    size_t  n = 0, m = 0;
    FAILS(OMNI_ERROR_TOO_SMALL, omni_vocoder_decode(whole, codes, FRAMES, NULL, 0, &n));
    CHECK((int64_t) n == total && n_captured == 0);
    FAILS(OMNI_ERROR_ARGUMENT, omni_vocoder_decode(whole, NULL, FRAMES, samples, n, &n));
    FAILS(OMNI_ERROR_ARGUMENT, omni_vocoder_decode(whole, codes, FRAMES, NULL, n, &n));
    FAILS(OMNI_ERROR_ARGUMENT, omni_vocoder_decode(whole, codes, -1, samples, n, &n));
    FAILS(OMNI_ERROR_ARGUMENT, omni_vocoder_decode(whole, codes, INT64_MAX, samples, n, &n));
    FAILS(OMNI_ERROR_ARGUMENT, omni_vocoder_decode(NULL, codes, FRAMES, samples, (size_t) total, &n));
    FAILS(OMNI_ERROR_ARGUMENT, omni_vocoder_decode(whole, codes, FRAMES, samples, (size_t) total, NULL));
    codes[3] = omni_model_codebook_size(model);
    FAILS(OMNI_ERROR_ARGUMENT, omni_vocoder_decode(whole, codes, FRAMES, samples, (size_t) total, &n));
    codes[3] = -1;
    FAILS(OMNI_ERROR_ARGUMENT, omni_vocoder_decode(whole, codes, FRAMES, samples, (size_t) total, &n));
    codes[3] = 3 * 31 % omni_model_codebook_size(model);
    CHECK(omni_vocoder_decode(whole, codes, FRAMES, samples, (size_t) total, &n) == OMNI_OK && (int64_t) n == total);

    /* Each module is a node of its own then: the same but for rounding. */
    omni_vocoder * probed = NULL;
    CHECK(omni_vocoder_new(model, 1, probe, &probed) == OMNI_OK);
    omni_probe_free(probe);
    CHECK(omni_vocoder_decode(probed, codes, FRAMES, pieces, (size_t) total, &m) == OMNI_OK && m == n);
    CHECK(n_captured > 0);
    omni_vocoder_free(probed);

    omni_vocoder * stream = NULL;
    CHECK(omni_vocoder_new(model, 2, NULL, &stream) == OMNI_OK);
    size_t done = 0;
    for (int64_t first = 0; first < FRAMES; first += FRAMES / 4) {
        for (int32_t group = 0; group < groups; ++group) {
            memcpy(half + group * (FRAMES / 4), codes + group * FRAMES + first, sizeof(*codes) * (FRAMES / 4));
        }
        CHECK(omni_vocoder_decode(stream, half, FRAMES / 4, pieces + done, (size_t) total - done, &m) == OMNI_OK);
        done += m;
    }
    CHECK(omni_vocoder_decode(stream, NULL, 0, NULL, 0, &m) == OMNI_OK && m == 0);
    CHECK(done == n && memcmp(samples, pieces, n * sizeof(*samples)) == 0);
    FILE * file = open_in(out, "decoded.f32");
    fwrite(samples, sizeof(*samples), n, file);
    fclose(file);
    omni_vocoder_free(whole);
    omni_vocoder_free(stream);
    omni_vocoder_free(NULL);
    omni_probe_free(NULL);
    free(samples);
    free(pieces);
}

static void test_thinker(const char * path, const char * out) {
    omni_thinker * thinker = NULL;
    CHECK(omni_thinker_load(path, NULL, &thinker) == OMNI_OK);
    omni_answer_params params = omni_answer_default_params(thinker);
    CHECK(omni_answer_default_params(NULL).abi_version == OMNI_ABI_VERSION);
    const int32_t prompt[] = { 10, 20, 30 }, wrong[] = { -1 };
    params.temperature   = 0;
    params.max_tokens    = 6;
    params.n_threads     = 1;
    omni_answer * answer = NULL;
    FAILS(OMNI_ERROR_ARGUMENT, omni_answer_begin(NULL, prompt, 3, &params, &answer));
    FAILS(OMNI_ERROR_ARGUMENT, omni_answer_begin(thinker, NULL, 3, &params, &answer));
    FAILS(OMNI_ERROR_ARGUMENT, omni_answer_begin(thinker, prompt, 0, &params, &answer));
    FAILS(OMNI_ERROR_ARGUMENT, omni_answer_begin(thinker, wrong, 1, &params, &answer));
    FAILS(OMNI_ERROR_ARGUMENT, omni_answer_begin(thinker, prompt, 3, &params, NULL));
    params.n_stop_tokens = 1;
    FAILS(OMNI_ERROR_ARGUMENT, omni_answer_begin(thinker, prompt, 3, &params, &answer));
    params.stop_tokens = wrong;
    params.top_p       = -3;
    FAILS(OMNI_ERROR_ARGUMENT, omni_answer_begin(thinker, prompt, 3, &params, &answer));
    params.top_p = 1;
    CHECK(omni_answer_begin(thinker, prompt, 3, &params, &answer) == OMNI_OK);
    omni_thinker_free(thinker);
    omni_thinker_free(NULL);
    int32_t id = 0;
    FAILS(OMNI_ERROR_ARGUMENT, omni_answer_next(NULL, &id));
    FAILS(OMNI_ERROR_ARGUMENT, omni_answer_next(answer, NULL));
    FILE * file = open_in(out, "answer.txt");
    while (omni_answer_next(answer, &id) == OMNI_OK) {
        fprintf(file, "%d ", (int) id);
    }
    CHECK(omni_answer_next(answer, &id) == OMNI_END);
    fclose(file);
    omni_answer_free(answer);
    omni_answer_free(NULL);
}

typedef struct kept {
    float * samples;
    size_t  n;
    int     pieces_left;
} kept;

static bool keep(const omni_piece * piece, void * user_data) {
    kept * all   = user_data;
    all->samples = realloc(all->samples, (all->n + piece->n_samples + 1) * sizeof(float));
    memcpy(all->samples + all->n, piece->samples, piece->n_samples * sizeof(float));
    all->n += piece->n_samples;
    return --all->pieces_left != 0;
}

static kept spoken(omni_engine * engine, const omni_speech_params * params, const char * text, size_t step) {
    kept          all    = { NULL, 0, -1 };
    omni_speech * speech = NULL;
    CHECK(omni_speech_begin(engine, params, &speech) == OMNI_OK);
    for (size_t at = 0; at < strlen(text); at += step) {
        const size_t left = strlen(text) - at;
        CHECK(omni_speech_feed_text(speech, text + at, left < step ? left : step) == OMNI_OK);
    }
    CHECK(omni_speech_finish(speech) == OMNI_OK);
    CHECK(omni_speech_read_all(speech, keep, &all) == OMNI_OK);
    omni_piece piece;
    CHECK(omni_speech_read(speech, 0, &piece) == OMNI_END);
    CHECK(omni_speech_stop_reason(speech) == OMNI_STOP_FRAME_LIMIT || omni_speech_stop_reason(speech) == OMNI_STOP_EOS);
    omni_timings timings = { OMNI_ABI_VERSION, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
    CHECK(omni_speech_timings(speech, &timings) == OMNI_OK && timings.n_frames > 0 && timings.first > 0);
    timings.abi_version = 0;
    FAILS(OMNI_ERROR_ARGUMENT, omni_speech_timings(speech, &timings));
    FAILS(OMNI_ERROR_ARGUMENT, omni_speech_timings(speech, NULL));
    omni_speech_free(speech);
    return all;
}

static void test_bad_speeches(omni_engine * engine, const omni_model * model) {
    omni_speech_params params = omni_speech_default_params(model);
    omni_speech *      speech = NULL;
    FAILS(OMNI_ERROR_ARGUMENT, omni_speech_begin(NULL, &params, &speech));
    FAILS(OMNI_ERROR_ARGUMENT, omni_speech_begin(engine, &params, NULL));
    params.speaker = "nobody";
    FAILS(OMNI_ERROR_ARGUMENT, omni_speech_begin(engine, &params, &speech));
    params = omni_speech_default_params(model);
    static char long_name[100000];
    memset(long_name, 'x', sizeof(long_name) - 1);
    params.speaker = long_name;
    FAILS(OMNI_ERROR_ARGUMENT, omni_speech_begin(engine, &params, &speech));
    CHECK(strlen(omni_last_error()) < 1000 && strstr(omni_last_error(), omni_model_speaker(model, 0)) != NULL);
    params                  = omni_speech_default_params(model);
    const float vector[]    = { 1, 2 };
    params.speaker_vector   = vector;
    params.n_speaker_vector = 0;
    FAILS(OMNI_ERROR_ARGUMENT, omni_speech_begin(engine, &params, &speech));
    params.n_speaker_vector = 2;
    FAILS(OMNI_ERROR_ARGUMENT, omni_speech_begin(engine, &params, &speech));
    params             = omni_speech_default_params(model);
    params.temperature = -1;
    FAILS(OMNI_ERROR_ARGUMENT, omni_speech_begin(engine, &params, &speech));
    params                  = omni_speech_default_params(model);
    params.thinker_hidden   = vector;
    params.n_thinker_hidden = 2;
    FAILS(OMNI_ERROR_ARGUMENT, omni_speech_begin(engine, &params, &speech));
    CHECK(strstr(omni_last_error(), "conversation") != NULL);
    params                = omni_speech_default_params(model);
    const int32_t wrong[] = { -1, 7 };
    params.conversation   = wrong;
    FAILS(OMNI_ERROR_ARGUMENT, omni_speech_begin(engine, &params, &speech));
    params.n_conversation = 2;
    FAILS(OMNI_ERROR_ARGUMENT, omni_speech_begin(engine, &params, &speech));
    params             = omni_speech_default_params(model);
    params.abi_version = 3;
    FAILS(OMNI_ERROR_ARGUMENT, omni_speech_begin(engine, &params, &speech));
    params            = omni_speech_default_params(model);
    params.max_frames = 0;
    FAILS(OMNI_ERROR_ARGUMENT, omni_speech_begin(engine, &params, &speech));
    CHECK(speech == NULL);

    omni_piece piece;
    FAILS(OMNI_ERROR_ARGUMENT, omni_speech_feed_text(NULL, "a", 1));
    FAILS(OMNI_ERROR_ARGUMENT, omni_speech_feed_tokens(NULL, wrong, 1));
    FAILS(OMNI_ERROR_ARGUMENT, omni_speech_finish(NULL));
    FAILS(OMNI_ERROR_ARGUMENT, omni_speech_read(NULL, 0, &piece));
    FAILS(OMNI_ERROR_ARGUMENT, omni_speech_read_all(NULL, keep, NULL));
    FAILS(OMNI_ERROR_ARGUMENT, omni_speech_cancel(NULL));
    CHECK(omni_speech_stop_reason(NULL) == OMNI_STOP_NONE);
    omni_timings timings = { OMNI_ABI_VERSION, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
    FAILS(OMNI_ERROR_ARGUMENT, omni_speech_timings(NULL, &timings));

    CHECK(omni_speech_begin(engine, NULL, &speech) == OMNI_OK);
    FAILS(OMNI_ERROR_ARGUMENT, omni_speech_feed_text(speech, NULL, 1));
    FAILS(OMNI_ERROR_ARGUMENT, omni_speech_feed_text(speech, "\xff", 1));
    FAILS(OMNI_ERROR_ARGUMENT, omni_speech_feed_tokens(speech, NULL, 1));
    FAILS(OMNI_ERROR_ARGUMENT, omni_speech_feed_tokens(speech, wrong, 1));
    FAILS(OMNI_ERROR_ARGUMENT, omni_speech_read(speech, 0, NULL));
    FAILS(OMNI_ERROR_ARGUMENT, omni_speech_read_all(speech, NULL, NULL));
    CHECK(omni_speech_read(speech, 0.01, &piece) == OMNI_TIMEOUT);
    CHECK(omni_speech_cancel(speech) == OMNI_OK);
    while (omni_speech_read(speech, -1, &piece) == OMNI_OK) {
    }
    CHECK(omni_speech_stop_reason(speech) == OMNI_STOP_CANCELLED);
    omni_speech_free(speech);
    omni_speech_free(NULL);
}

/* What of a speech is heard by its end; nobody waits for ever. */
static kept heard(omni_speech * speech, omni_status last) {
    kept        all = { NULL, 0, -1 };
    omni_piece  piece;
    omni_status status;
    while ((status = omni_speech_read(speech, 120, &piece)) == OMNI_OK) {
        keep(&piece, &all);
    }
    CHECK(status == last);
    CHECK(omni_speech_read(speech, 120, &piece) == OMNI_END);
    CHECK((omni_speech_stop_reason(speech) == OMNI_STOP_FAILED) == (last < 0));
    return all;
}

/* Finishes, hears all, and compares it with what `text` is spoken as; without a text: with the failure. */
static void ends_as(omni_engine * engine, const omni_speech_params * params, omni_speech * speech, omni_status finished,
                    const char * text) {
    CHECK(omni_speech_finish(speech) == finished);
    FAILS(OMNI_ERROR_ARGUMENT, omni_speech_feed_text(speech, "and more", 8));
    CHECK(strstr(omni_last_error(), "finished") != NULL);
    const int32_t id = 1;
    FAILS(OMNI_ERROR_ARGUMENT, omni_speech_feed_tokens(speech, &id, 1));
    CHECK(omni_speech_finish(speech) == OMNI_OK);
    const kept all = heard(speech, text != NULL ? OMNI_END : finished);
    if (text != NULL) {
        const kept same = spoken(engine, params, text, 1000);
        CHECK(same.n == all.n && memcmp(same.samples, all.samples, all.n * sizeof(float)) == 0);
        free(same.samples);
    } else {
        CHECK(all.n == 0);
    }
    free(all.samples);
    FAILS(OMNI_ERROR_ARGUMENT, omni_speech_feed_text(speech, "and more", 8));
    CHECK(omni_speech_finish(speech) == OMNI_OK);
    omni_speech_free(speech);
}

/* Texts of which something is no UTF-8, and texts of nothing. */
static void test_how_texts_end(omni_engine * engine, const omni_model * model) {
    static const struct {
        const char * fed[4];      /* one after another */
        omni_status  statuses[4]; /* of each */
        omni_status  finished;
        const char * heard; /* NULL: nothing */
    } cases[] = {
        { { "" }, { OMNI_OK }, OMNI_ERROR_ARGUMENT, NULL },
        { { NULL }, { OMNI_OK }, OMNI_ERROR_ARGUMENT, NULL },
        { { "\xc3" }, { OMNI_OK }, OMNI_ERROR_ARGUMENT, NULL },
        { { "hell\xffo" }, { OMNI_ERROR_ARGUMENT }, OMNI_ERROR_ARGUMENT, NULL },
        { { "hello w\xc3" }, { OMNI_OK }, OMNI_CUT, "hello w" },
        { { "hello w\xf0\x9f\x98" }, { OMNI_OK }, OMNI_CUT, "hello w" },
        { { "hello w\xc3", "\xa4rm" }, { OMNI_OK, OMNI_OK }, OMNI_OK, "hello w\xc3\xa4rm" },
        { { "hello w\xc3", "orld" }, { OMNI_OK, OMNI_CUT }, OMNI_OK, "hello world" },
        { { "hello w\xe2", "\x82", "orld" }, { OMNI_OK, OMNI_OK, OMNI_CUT }, OMNI_OK, "hello world" },
        { { "hello w\xc3", "\xe2\x82" }, { OMNI_OK, OMNI_CUT }, OMNI_CUT, "hello w" },
        { { "hello", "\xff", " w" }, { OMNI_OK, OMNI_ERROR_ARGUMENT, OMNI_OK }, OMNI_OK, "hello w" },
        { { "hello w\xc3", "\xff", "\xa4rm" },
          { OMNI_OK, OMNI_ERROR_ARGUMENT, OMNI_OK },
          OMNI_OK,
          "hello w\xc3\xa4rm" },
    };
    omni_speech_params params = omni_speech_default_params(model);
    omni_speech *      speech = NULL;
    params.max_frames         = 12;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); ++i) {
        CHECK(omni_speech_begin(engine, &params, &speech) == OMNI_OK);
        for (int j = 0; j < 4 && cases[i].fed[j] != NULL; ++j) {
            CHECK(omni_speech_feed_text(speech, cases[i].fed[j], strlen(cases[i].fed[j])) == cases[i].statuses[j]);
        }
        ends_as(engine, &params, speech, cases[i].finished, cases[i].heard);
    }

    CHECK(omni_speech_begin(engine, &params, &speech) == OMNI_OK);
    CHECK(omni_speech_feed_text(speech, "h\xc3\xa4ll ", 6) == OMNI_OK);
    FAILS(OMNI_ERROR_ARGUMENT, omni_speech_feed_text(speech, "wor\xffld", 6));
    CHECK(strstr(omni_last_error(), "at byte 3") != NULL);
    ends_as(engine, &params, speech, OMNI_OK, "h\xc3\xa4ll ");

    /* What was held back outlasts tokens that are refused, and comes before those that aren't. */
    const int32_t wrong = -1;
    int32_t       ids[8];
    size_t        n = 0;
    CHECK(omni_tokenize(model, " world", 6, false, ids, 8, &n) == OMNI_OK);
    CHECK(omni_speech_begin(engine, &params, &speech) == OMNI_OK);
    CHECK(omni_speech_feed_text(speech, "hello\xc3", 6) == OMNI_OK);
    FAILS(OMNI_ERROR_ARGUMENT, omni_speech_feed_tokens(speech, &wrong, 1));
    CHECK(omni_speech_feed_tokens(speech, ids, n) == OMNI_CUT);
    ends_as(engine, &params, speech, OMNI_OK, "hello world");

    /* A speech without text frees its place in the queue. */
    for (int i = 0; i < 5; ++i) {
        CHECK(omni_speech_begin(engine, &params, &speech) == OMNI_OK);
        FAILS(OMNI_ERROR_ARGUMENT, omni_speech_finish(speech));
        CHECK(omni_engine_n_waiting(engine) == 0 && omni_engine_n_speaking(engine) == 0);
        omni_speech_free(speech);
    }

    /* What was held back has no room in the context: the finish fails, and what was fed before is spoken. */
    static char endless[200000];
    memset(endless, 'q', sizeof(endless));
    omni_piece piece;
    params.max_frames = 1 << 30;
    CHECK(omni_speech_begin(engine, &params, &speech) == OMNI_OK);
    CHECK(omni_speech_feed_tokens(speech, ids, 1) == OMNI_OK);
    CHECK(omni_speech_feed_text(speech, endless, sizeof(endless)) == OMNI_OK);
    FAILS(OMNI_ERROR_ARGUMENT, omni_speech_finish(speech));
    CHECK(strstr(omni_last_error(), "context") != NULL);
    CHECK(omni_speech_read(speech, 120, &piece) == OMNI_OK && piece.n_samples > 0);
    omni_speech_free(speech);
}

/* Weights are of each other; those that can't be summed are as good as those that can. */
static void test_mixtures(omni_engine * engine, const omni_model * model) {
    const char *same[]  = { "%s:1e308,%s:1e308", "%s:1e-300,%s:1e-300", "%s:7,%s:7" },
               *wrong[] = { "%s:nan,%s:1", "%s:inf,%s:1", "%s:-1,%s:2", "%s:0,%s:0", "%s:1e999,%s:1", "%s:,%s:1" };
    const char *first = omni_model_speaker(model, 0), *second = omni_model_speaker(model, 1);
    char        mixture[400];
    CHECK(first != NULL && second != NULL);
    omni_speech_params params = omni_speech_default_params(model);
    params.max_frames         = 12;
    params.speaker            = mixture;
    snprintf(mixture, sizeof(mixture), "%s:0.5,%s:0.5", first, second);
    const kept half = spoken(engine, &params, "hello world", 1000);
    for (size_t i = 0; i < sizeof(same) / sizeof(*same); ++i) {
        snprintf(mixture, sizeof(mixture), same[i], first, second);
        const kept all = spoken(engine, &params, "hello world", 1000);
        CHECK(all.n == half.n && memcmp(all.samples, half.samples, all.n * sizeof(float)) == 0);
        free(all.samples);
    }
    free(half.samples);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); ++i) {
        omni_speech * speech = NULL;
        snprintf(mixture, sizeof(mixture), wrong[i], first, second);
        FAILS(OMNI_ERROR_ARGUMENT, omni_speech_begin(engine, &params, &speech));
    }
}

static void test_engine_that_goes_first(const omni_model * model) {
    omni_engine * engine = NULL;
    omni_speech * speech = NULL;
    omni_piece    piece;
    CHECK(omni_engine_new(model, NULL, &engine) == OMNI_OK);
    CHECK(omni_speech_begin(engine, NULL, &speech) == OMNI_OK);
    omni_engine_free(engine);
    while (omni_speech_read(speech, -1, &piece) == OMNI_OK) {
    }
    CHECK(omni_speech_stop_reason(speech) == OMNI_STOP_CANCELLED);
    omni_speech_free(speech);
}

/* Nobody waits who may begin; what refuses the third says so before the first two are in their slots. */
static void test_queue_of_none(const omni_model * model) {
    omni_engine *      engine  = NULL;
    omni_speech *      some[3] = { NULL, NULL, NULL };
    omni_engine_params params  = omni_engine_default_params();
    params.n_slots             = 2;
    params.queue_limit         = 0;
    CHECK(omni_engine_new(model, &params, &engine) == OMNI_OK);
    CHECK(omni_speech_begin(engine, NULL, &some[0]) == OMNI_OK && omni_speech_begin(engine, NULL, &some[1]) == OMNI_OK);
    FAILS(OMNI_ERROR_BUSY, omni_speech_begin(engine, NULL, &some[2]));
    CHECK(strstr(omni_last_error(), "0 speeches wait") != NULL);
    omni_speech_free(some[0]);
    omni_speech_free(some[1]);
    omni_engine_free(engine);
}

static void test_speeches(const omni_model * model, const char * text, const char * out) {
    omni_engine *      engine = NULL;
    omni_engine_params slots  = omni_engine_default_params();
    slots.n_threads           = 1;
    FAILS(OMNI_ERROR_ARGUMENT, omni_engine_new(NULL, &slots, &engine));
    FAILS(OMNI_ERROR_ARGUMENT, omni_engine_new(model, &slots, NULL));
    slots.n_slots = -1;
    FAILS(OMNI_ERROR_ARGUMENT, omni_engine_new(model, &slots, &engine));
    slots.n_slots   = 1;
    slots.n_threads = 5000;
    FAILS(OMNI_ERROR_ARGUMENT, omni_engine_new(model, &slots, &engine));
    CHECK(strstr(omni_last_error(), "5000") != NULL);
    slots.n_threads   = 1;
    slots.queue_limit = -1;
    FAILS(OMNI_ERROR_ARGUMENT, omni_engine_new(model, &slots, &engine));
    CHECK(strstr(omni_last_error(), "queue") != NULL);
    slots.queue_limit = 0;
    slots.abi_version = 0;
    FAILS(OMNI_ERROR_ARGUMENT, omni_engine_new(model, &slots, &engine));
    slots.abi_version = OMNI_ABI_VERSION;
    slots.queue_limit = 1;
    CHECK(omni_engine_new(model, &slots, &engine) == OMNI_OK);
    CHECK(omni_engine_n_speaking(NULL) == 0 && omni_engine_n_waiting(NULL) == 0);
    test_bad_speeches(engine, model);
    test_how_texts_end(engine, model);
    test_mixtures(engine, model);

    omni_speech_params params = omni_speech_default_params(model);
    CHECK(omni_speech_default_params(NULL).abi_version == OMNI_ABI_VERSION);
    params.max_frames = 20;
    params.seed       = 7;
    const kept whole  = spoken(engine, &params, text, 1000);
    const kept bits   = spoken(engine, &params, text, 1);
    CHECK(whole.n == bits.n && memcmp(whole.samples, bits.samples, whole.n * sizeof(float)) == 0);
    FILE * file = open_in(out, "speech.f32");
    fwrite(whole.samples, sizeof(float), whole.n, file);
    fclose(file);
    free(whole.samples);
    free(bits.samples);

    omni_speech *first = NULL, *second = NULL, *third = NULL;
    params.ignore_eos      = true;
    params.max_frames      = 4000;
    params.buffered_frames = 4;
    CHECK(omni_speech_begin(engine, &params, &first) == OMNI_OK);
    CHECK(omni_speech_feed_text(first, text, strlen(text)) == OMNI_OK && omni_speech_finish(first) == OMNI_OK);
    omni_piece piece;
    CHECK(omni_speech_read(first, -1, &piece) == OMNI_OK && piece.n_frames > 0 && piece.codes[0] >= 0);
    CHECK(omni_engine_n_speaking(engine) == 1);
    CHECK(omni_speech_begin(engine, &params, &second) == OMNI_OK && omni_engine_n_waiting(engine) == 1);
    FAILS(OMNI_ERROR_BUSY, omni_speech_begin(engine, &params, &third));
    CHECK(strstr(omni_last_error(), "1 speeches wait") != NULL);
    CHECK(third == NULL);
    kept some = { NULL, 0, 1 };
    FAILS(OMNI_ERROR_STOPPED, omni_speech_read_all(first, keep, &some));
    free(some.samples);
    const int32_t id = 1;
    CHECK(omni_speech_feed_text(second, "a", 1) == OMNI_OK && omni_speech_feed_tokens(second, &id, 1) == OMNI_OK);
    omni_speech_free(first);
    omni_speech_free(second);
    omni_engine_free(engine);
    omni_engine_free(NULL);
    test_engine_that_goes_first(model);
    test_queue_of_none(model);
}

int main(int n, char ** arguments) {
    CHECK(n == 6);
    const char *speech = arguments[1], *thinker = arguments[2], *damaged = arguments[3], *text = arguments[4],
               *out = arguments[5];
    test_library();
    test_bad_loading(speech, thinker, damaged);
    omni_model * model = load(speech);
    test_model(model);
    test_text(model, text, out);
    test_vocoder(model, out);
    test_thinker(thinker, out);
    test_speeches(model, text, out);
    omni_model_free(model);
    omni_model_free(NULL);
    puts("every function was called");
    return 0;
}

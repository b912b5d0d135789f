/* Speaks to a WAV file: speak MODEL.gguf OUT.wav [SPEAKER] < text
 *
 * The text is spoken while it is read: what `yes hello | speak ...` writes never ends, and is heard all the same. */
#include <omniggml.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void little_endian(unsigned char * at, uint32_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) {
        at[i] = (unsigned char) (value >> (8 * i));
    }
}

/* The header of a WAV file of 16-bit samples, one channel. */
static void write_header(FILE * file, uint32_t n_samples, uint32_t sample_rate) {
    unsigned char header[44] = "RIFF....WAVEfmt ....\1\0\1\0........\2\0\20\0data";
    little_endian(header + 4, 36 + 2 * n_samples, 4);
    little_endian(header + 16, 16, 4);
    little_endian(header + 24, sample_rate, 4);
    little_endian(header + 28, 2 * sample_rate, 4);
    little_endian(header + 40, 2 * n_samples, 4);
    fwrite(header, 1, sizeof(header), file);
}

static void write_samples(FILE * file, const float * samples, size_t n) {
    for (size_t i = 0; i < n; ++i) {
        unsigned char bytes[2];
        const int32_t sample = (int32_t) (samples[i] * 32767.0f + (samples[i] < 0 ? -0.5f : 0.5f));
        little_endian(bytes, (uint32_t) sample, 2);
        fwrite(bytes, 1, 2, file);
    }
}

static int failed(const char * what) {
    fprintf(stderr, "%s: %s\n", what, omni_last_error());
    return 1;
}

/* What has been spoken by now goes into the file; waits for it where `seconds` is not 0. */
static omni_status write_spoken(omni_speech * speech, double seconds, FILE * file, uint32_t * n_samples) {
    omni_piece  piece;
    omni_status status;
    while ((status = omni_speech_read(speech, seconds, &piece)) == OMNI_OK) {
        write_samples(file, piece.samples, piece.n_samples);
        *n_samples += (uint32_t) piece.n_samples;
    }
    return status;
}

int main(int n, char ** arguments) {
    if (n < 3) {
        fprintf(stderr, "usage: %s MODEL.gguf OUT.wav [SPEAKER] < text\n", arguments[0]);
        return 2;
    }
    omni_model *  model  = NULL;
    omni_engine * engine = NULL;
    omni_speech * speech = NULL;
    if (omni_model_load(arguments[1], NULL, &model) != OMNI_OK) {
        return failed(arguments[1]);
    }
    omni_speech_params params = omni_speech_default_params(model);
    params.speaker            = n > 3 ? arguments[3] : NULL;
    if (omni_engine_new(model, NULL, &engine) != OMNI_OK || omni_speech_begin(engine, &params, &speech) != OMNI_OK) {
        return failed("the speech can't begin");
    }
    FILE * file = fopen(arguments[2], "wb");
    if (file == NULL) {
        perror(arguments[2]);
        return 1;
    }
    const uint32_t rate      = (uint32_t) omni_model_sample_rate(model);
    uint32_t       n_samples = 0;
    char           text[256];
    write_header(file, 0, rate);
    while (fgets(text, sizeof(text), stdin) != NULL) {
        if (omni_speech_feed_text(speech, text, strlen(text)) < 0) {
            return failed("the text");
        }
        if (write_spoken(speech, 0, file, &n_samples) < 0) {
            return failed("the speech");
        }
    }
    if (omni_speech_finish(speech) < 0 || write_spoken(speech, -1, file, &n_samples) != OMNI_END) {
        return failed("the speech");
    }
    rewind(file);
    write_header(file, n_samples, rate);
    fclose(file);
    printf("%.2f s of speech%s\n", (double) n_samples / rate,
           omni_speech_stop_reason(speech) == OMNI_STOP_EOS ? "" : ", cut by a limit");
    omni_speech_free(speech);
    omni_engine_free(engine);
    omni_model_free(model);
    return 0;
}

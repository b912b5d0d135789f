#include "capi/handles.h"
#include "capi/status.h"

struct omni_vocoder {
    std::shared_ptr<const omni::LoadedModel> loaded;
    omni::Code2WavSession                    session;
};

extern "C" {

omni_status omni_vocoder_new(const omni_model * model, int32_t n_threads, omni_probe * probe, omni_vocoder ** vocoder) {
    return omni::guarded([&] {
        omni::required(vocoder, "the place of the vocoder") = nullptr;
        const auto & loaded                                 = omni::required(model, "the model").loaded;
        *vocoder = new omni_vocoder{ loaded, omni::Code2WavSession(loaded->model()->code2wav(), n_threads,
                                                                   omni::probe_of(probe)) };
        return OMNI_OK;
    });
}

omni_status omni_vocoder_decode(omni_vocoder * vocoder, const int32_t * codes, int64_t n_frames, float * samples,
                                size_t capacity, size_t * n_samples) {
    return omni::guarded([&] {
        omni::Code2WavSession & session  = omni::required(vocoder, "the vocoder").session;
        const auto &            geometry = vocoder->loaded->model()->code2wav()->geometry();
        omni::required(n_samples, "the place of the number of samples");
        // What can be said of a stream, so that none of the arithmetic below overflows.
        constexpr int64_t k_most_frames = int64_t(1) << 31;
        if (n_frames < 0 || n_frames > k_most_frames) {
            throw omni::Error(omni::ErrorKind::input, std::to_string(n_frames) + " frames can't be decoded");
        }
        const int64_t before = session.n_frames() > 0 ? geometry.n_samples(session.n_frames()) : 0;
        const int64_t after = session.n_frames() + n_frames > 0 ? geometry.n_samples(session.n_frames() + n_frames) : 0;
        *n_samples          = (size_t) (after - before);
        if (*n_samples > capacity) {
            omni::note_error("the buffer is too small for the samples; how many there are was stored");
            return (omni_status) OMNI_ERROR_TOO_SMALL;
        }
        if (n_frames == 0) {
            return (omni_status) OMNI_OK;
        }
        const int32_t * first = &omni::required(codes, "the codes");
        if (*n_samples > 0) {
            omni::required(samples, "the place of the samples");
        }
        const std::vector<int32_t> given(first, first + geometry.n_groups * n_frames);
        return omni::fill(session.decode(given, n_frames), samples, capacity, n_samples, "the samples");
    });
}

void omni_vocoder_free(omni_vocoder * vocoder) {
    delete vocoder;
}
}

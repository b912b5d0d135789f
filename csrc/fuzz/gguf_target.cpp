// What libFuzzer calls with every file: the reader, the geometry check, loading, graph building, a little speech, and a
// little sound and image heard and seen.
// scripts/fuzz.sh builds and runs it; docs/security.md says what is looked for.

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "error/error.h"
#include "gguf/gguf_file.h"
#include "gguf/planned_file.h"
#include "models/snake.h"
#include "models/thinker.h"
#include "speech/media_encoders.h"
#include "speech/speech.h"
#include "speech/speech_model.h"

namespace {

using namespace omni;

// One file in memory, written over and over. Returns a path to it.
std::string written(const uint8_t * data, size_t size) {
    static const int file = memfd_create("fuzz", 0);
    if (file < 0 || ftruncate(file, 0) != 0 || pwrite(file, data, size, 0) != (ssize_t) size) {
        std::abort();
    }
    return "/proc/self/fd/" + std::to_string(file);
}

// A refusal is one sentence; an internal error means that a check let something through.
void check_refusal(const Error & error) {
    const std::string what = error.what();
    if (error.kind() == ErrorKind::internal || what.empty() || what.find('\n') != std::string::npos) {
        std::fprintf(stderr, "not a refusal: %s\n", what.c_str());
        std::abort();
    }
}

template <typename Work> void refusable(Work work) {
    try {
        work();
    } catch (const Error & error) {
        check_refusal(error);
    }
}

// `map`: whether weights stay in the file's pages.
void speak(const std::shared_ptr<GgufFile> & file, bool map) {
    auto model  = std::make_shared<SpeechModel>(file, "CPU", VocoderPrecision::automatic, map);
    auto params = default_speech_params(*model);
    if (params.max_frames > 1) {
        params.max_frames = 1;
    }
    Speech     speech(model, params, 1, nullptr);
    const auto text = model->text_tokens();
    speech.begin({ (int32_t) text.im_start, (int32_t) text.user, 1, (int32_t) text.im_end, (int32_t) text.im_start,
                   (int32_t) text.assistant, 2 },
                 { 1, 2 }, model->talker()->geometry().speakers.begin()->second, {});
    const auto      codes = speech.frames(1, nullptr);
    const int64_t   count = (int64_t) codes.size() / model->predictor()->geometry().n_groups;
    Code2WavSession vocoder(model->code2wav(), 1, nullptr);
    vocoder.decode(codes, count);
}

void write_text(const std::shared_ptr<GgufFile> & file, bool map) {
    auto           model = std::make_shared<Thinker>(file, "CPU", map);
    ThinkerSession session(model, 1, nullptr);
    session.forward({ 1, 2 }, true, model->geometry().accept_layer >= 0);
}

// Three frames are heard, and one block of patches is seen.
void perceive(const std::shared_ptr<GgufFile> & file, bool map) {
    const MediaEncoders encoders(file, "CPU", map, false);
    if (encoders.audio() != nullptr) {
        const int64_t n_frames = 3;
        AudioEncoderSession(encoders.audio(), 1, nullptr)
            .encode(std::vector<float>(encoders.audio()->geometry().n_mels * n_frames, 0.5F), n_frames);
    }
    if (encoders.vision() != nullptr) {
        const VisionEncoderGeometry & g = encoders.vision()->geometry();
        const PatchGrid               grid{ 1, g.merge, g.merge };
        VisionEncoderSession(encoders.vision(), 1, nullptr)
            .encode(std::vector<float>(grid.area() * g.patch_width(), 0.5F), grid);
    }
}

// Files of other families are read through a plan. Which plan is Python's business; here every tensor is planned in a
// way of its own.
void read_planned(const std::string & path, const GgufFile & file) {
    const ValueChange          changes[] = { nullptr, snake_alpha, snake_beta };
    std::vector<PlannedTensor> plan;
    for (const auto & tensor : file.tensors()) {
        PlannedTensor planned;
        planned.name = tensor.name;
        planned.ne.assign(tensor.ne.begin(), tensor.ne.begin() + tensor.n_dims);
        planned.parts  = { { 0, tensor.name } };
        planned.change = changes[plan.size() % 3];
        if (plan.size() % 2 == 1) {
            planned.view.assign(planned.ne.rbegin(), planned.ne.rend());
            for (int d = tensor.n_dims - 1; d >= 0; --d) {
                planned.axes.push_back(d);
            }
        }
        plan.push_back(planned);
    }
    const PlannedFile seen({ path }, {}, plan);
    std::vector<char> bytes;
    for (const auto & tensor : seen.tensors()) {
        bytes.resize(tensor.nbytes);
        seen.read_tensor(tensor, 0, bytes.data(), bytes.size());
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t * data, size_t size) {
    const std::string path = written(data, size);
    refusable([&] {
        const auto file = std::make_shared<GgufFile>(path);
        const bool map  = size % 2 == 0;
        refusable([&] { speak(file, map); });
        refusable([&] { write_text(file, map); });
        refusable([&] { perceive(file, map); });
        refusable([&] { read_planned(path, *file); });
    });
    return 0;
}

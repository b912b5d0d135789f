// What libFuzzer calls with every file: the reader, the geometry check, loading, graph building, a little speech, and a
// little sound and image heard and seen.
// scripts/fuzz.sh builds and runs it; docs/security.md says what is looked for.

#include "fuzz/gguf_target.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "error/error.h"
#include "gguf/gguf_file.h"
#include "gguf/planned_file.h"
#include "models/snake.h"
#include "models/thinker.h"
#include "speech/media_encoders.h"
#include "speech/speech_batch.h"
#include "speech/speech_model.h"

namespace omni {

namespace {

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

// Whether it was done, and not refused.
template <typename Work> bool refusable(Work work) {
    try {
        work();
        return true;
    } catch (const Error & error) {
        check_refusal(error);
        return false;
    }
}

// What a step can't bear ends the speech in its slot.
void refuse_failed(const SpeechBatch & batch) {
    if (batch.error(0)) {
        std::rethrow_exception(batch.error(0));
    }
}

// `map`: whether weights stay in the file's pages.
void speak(const std::shared_ptr<GgufFile> & file, bool map) {
    auto model                      = std::make_shared<SpeechModel>(file, "CPU", VocoderPrecision::automatic, map);
    auto params                     = default_speech_params(*model);
    params.max_frames               = std::min<int64_t>(params.max_frames, 1);
    const auto                 text = model->text_tokens();
    const std::vector<int32_t> conversation = {
        (int32_t) text.im_start, (int32_t) text.user,      1, (int32_t) text.im_end,
        (int32_t) text.im_start, (int32_t) text.assistant, 2
    };
    const Talker & talker  = *model->talker();
    const Speaker  speaker = Speaker::of_id(talker.geometry().speakers.begin()->second);
    SpeechBatch    batch(model, 1, 1, nullptr);
    batch.open(0, params, PromptReading(talker, text, conversation, 1, false, speaker, {}));
    while (!batch.prompt_read(0)) {
        batch.read_prompts({ 0 }, 3);
        refuse_failed(batch);
    }
    batch.add_text(0, { 2 });
    batch.finish_text(0);
    const std::vector<int32_t> codes = batch.step({ 0 }).at(0);
    refuse_failed(batch);
    Code2WavSession vocoder(model->code2wav(), 1, nullptr);
    vocoder.decode(codes, codes.empty() ? 0 : 1);
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

// Files of other families, and split ones, are read through a plan. Which plan is Python's business; here every tensor
// is planned in a way of its own, from the file or from the same one as a second member.
void read_planned(const std::string & path, const GgufFile & file) {
    const ValueChange          changes[] = { nullptr, snake_alpha, snake_beta };
    std::vector<PlannedTensor> plan;
    for (const auto & tensor : file.tensors()) {
        PlannedTensor planned;
        planned.name = tensor.name;
        planned.ne.assign(tensor.ne.begin(), tensor.ne.begin() + tensor.n_dims);
        planned.parts  = { { plan.size() % 2, tensor.name } };
        planned.change = changes[plan.size() % 3];
        if (plan.size() % 2 == 1) {
            planned.view.assign(planned.ne.rbegin(), planned.ne.rend());
            for (int d = tensor.n_dims - 1; d >= 0; --d) {
                planned.axes.push_back(d);
            }
        }
        plan.push_back(planned);
    }
    const PlannedFile seen({ path, path }, {}, plan);
    std::vector<char> bytes;
    for (const auto & tensor : seen.tensors()) {
        bytes.resize(tensor.nbytes);
        seen.read_tensor(tensor, 0, bytes.data(), bytes.size());
    }
}

}  // namespace

std::vector<std::string> done_with(const uint8_t * data, size_t size) {
    const std::string        path = written(data, size);
    std::vector<std::string> done;
    refusable([&] {
        const auto file = std::make_shared<GgufFile>(path);
        const bool map  = size % 2 == 0;
        const auto work = [&](const char * name, const std::function<void()> & what) {
            if (refusable(what)) {
                done.emplace_back(name);
            }
        };
        work("spoken", [&] { speak(file, map); });
        work("written", [&] { write_text(file, map); });
        work("perceived", [&] { perceive(file, map); });
        work("planned", [&] { read_planned(path, *file); });
    });
    return done;
}

}  // namespace omni

extern "C" int LLVMFuzzerTestOneInput(const uint8_t * data, size_t size) {
    omni::done_with(data, size);
    return 0;
}

#include "speech/speech.h"

#include "error/error.h"

namespace omni {

Speech::Speech(std::shared_ptr<const SpeechModel> model, SpeechParams params, int n_threads,
               std::shared_ptr<Probe> probe) :
    model_(model),
    params_(params),
    batch_(model, 1, n_threads, std::move(probe)) {
    // Parameters that make no sense are refused before there is a text.
    SpeechState(*model, params);
}

void Speech::check_not_begun() const {
    if (begun_) {
        throw Error(ErrorKind::input, "this speech has begun already; make a new one");
    }
}

void Speech::begin(const std::vector<int32_t> & conversation, const std::vector<int32_t> & answer, int32_t speaker,
                   const std::vector<float> & thinker_hidden) {
    check_not_begun();
    batch_.begin(0, params_, conversation, answer, speaker, thinker_hidden);
    begun_ = true;
}

void Speech::begin(TalkerPrompt prompt) {
    check_not_begun();
    batch_.begin(0, params_, std::move(prompt));
    begun_ = true;
}

std::vector<int32_t> Speech::frames(int64_t n, const std::function<bool()> & cancelled) {
    if (!begun_) {
        throw Error(ErrorKind::input, "this speech has no text yet");
    }
    std::vector<std::vector<int32_t>> frames;
    for (int64_t i = 0; i < n && batch_.speaking(); ++i) {
        if (cancelled && cancelled()) {
            batch_.cancel();
            break;
        }
        auto frame = batch_.step().front();
        if (!frame.empty()) {
            frames.push_back(std::move(frame));
        }
    }
    std::vector<int32_t> codes;
    for (size_t group = 0; group < (size_t) model_->predictor()->geometry().n_groups; ++group) {
        for (const auto & frame : frames) {
            codes.push_back(frame[group]);
        }
    }
    return codes;
}

}  // namespace omni

// A speech file: talker, code predictor, code2wav and the text embedding table, loaded once and shared by sessions.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "models/code2wav.h"
#include "models/code_predictor.h"
#include "models/talker.h"

namespace omni {

// How code2wav's convolutions are computed on a CPU.
enum class VocoderPrecision {
    automatic,  // float32 for weights stored so, else the fastest this CPU has
    f32,
    bf16,   // bfloat16 products summed in float32
    plain,  // ordinary ggml nodes, as on every other device
};

class SpeechModel {
  public:
    // Throws Error(input) for a precision this CPU or device has no instructions for.
    // `map`: see Weights.
    SpeechModel(const std::string & path, const std::string & device, VocoderPrecision precision, bool map);

    // The same from an open file, of our layout or planned into it.
    SpeechModel(std::shared_ptr<const GgufFile> file, const std::string & device, VocoderPrecision precision, bool map);

    // Throws what loading would throw, short of reading values. Allocates next to nothing.
    static void check(std::shared_ptr<const GgufFile> file);

    // Throws Error(file) where the file was cut since.
    void check_intact() const { weights_->check_intact(); }

    const GgufFile & file() const { return weights_->file(); }

    ggml_backend_dev_t device() const { return device_; }

    // Whether all of it is computed by this machine's CPU.
    bool on_cpu() const { return ggml_backend_dev_type(device_) == GGML_BACKEND_DEVICE_TYPE_CPU; }

    const Talker & talker() const { return talker_; }

    const CodePredictor & predictor() const { return predictor_; }

    const Code2Wav & code2wav() const { return code2wav_; }

    // Bytes of weights, and of those that stay in the file's pages.
    size_t nbytes() const { return weights_->nbytes(); }

    size_t mapped_nbytes() const { return weights_->mapped_nbytes(); }

  private:
    SpeechModel(std::shared_ptr<const GgufFile> file, ggml_backend_dev_t device, VocoderPrecision precision, bool map);

    void check_parts_agree() const;

    ggml_backend_dev_t       device_;
    std::unique_ptr<Weights> weights_;
    Talker                   talker_;
    CodePredictor            predictor_;
    Code2Wav                 code2wav_;
};

}  // namespace omni

// A speech file: the parts of Qwen3-Omni that speak, loaded once and shared by sessions.
//
// The one file that knows which parts there are and how they fit together. Each part knows itself alone; a sibling
// model (another talker, another vocoder) is another composition like this one, of the parts it shares and those of its
// own.
#pragma once

#include <memory>
#include <string>

#include "models/code2wav.h"
#include "models/code_predictor.h"
#include "models/talker.h"
#include "speech/text_tokens.h"

namespace omni {

// Code2wav, and a talker with its code predictor and text table; or code2wav alone, which decodes and can't speak.
class SpeechModel {
  public:
    // Throws Error(input) for a precision this CPU or device has no instructions for.
    // `map`: see Weights.
    SpeechModel(const std::string & path, const std::string & device, VocoderPrecision precision, bool map);

    // The same from an open file, of our layout or planned into it.
    SpeechModel(std::shared_ptr<const GgufFile> file, const std::string & device, VocoderPrecision precision, bool map,
                const LoadProgress & progress = {});

    // Whether it says that it is a file of our layout.
    static bool is_speech_file(const GgufFile & file);

    // Throws what loading would throw, short of reading values. Allocates next to nothing.
    static void check(std::shared_ptr<const GgufFile> file);

    const GgufFile & file() const { return weights_->file(); }

    // Whether all of it is computed by this machine's CPU.
    bool on_cpu() const { return ggml_backend_dev_type(weights_->device()) == GGML_BACKEND_DEVICE_TYPE_CPU; }

    const std::shared_ptr<const Code2Wav> & code2wav() const { return code2wav_; }

    // Whether there is more than code2wav.
    bool speaks() const { return talker_ != nullptr; }

    // These throw Error(input) where there is code2wav alone.
    const std::shared_ptr<const Talker> &        talker() const;
    const std::shared_ptr<const CodePredictor> & predictor() const;
    const TextTokens &                           text_tokens() const;

    // The speaker where none is named: the file's, else "ethan" as in the reference, or the first.
    std::string default_speaker() const;

    // By which the codes of a frame are read.
    CodeTables code_tables() const;

    // Bytes of weights, and of those that stay in the file's pages.
    size_t nbytes() const { return weights_->nbytes(); }

    size_t mapped_nbytes() const { return weights_->mapped_nbytes(); }

  private:
    SpeechModel(std::shared_ptr<const GgufFile> file, ggml_backend_dev_t device, VocoderPrecision precision, bool map);

    void require_speech() const;
    void check_parts_agree() const;

    std::shared_ptr<Weights>             weights_;
    std::shared_ptr<const Talker>        talker_;
    std::shared_ptr<const CodePredictor> predictor_;
    std::shared_ptr<const Code2Wav>      code2wav_;
    TextTokens                           text_tokens_{};
};

}  // namespace omni

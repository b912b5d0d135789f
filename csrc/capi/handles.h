// What the C interface's handles hold.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "capi/omniggml.h"
#include "core/probe.h"
#include "speech/speech_model.h"
#include "text/text_tokenizer.h"

namespace omni {

// A speech file with its tokenizer, which is made when it is first asked for. Shared by all that was made from it.
class LoadedModel {
  public:
    explicit LoadedModel(std::shared_ptr<const SpeechModel> model);

    const std::shared_ptr<const SpeechModel> & model() const { return model_; }

    // Throws Error(file) where the file has none.
    std::shared_ptr<const TextTokenizer> tokenizer() const;

    const std::vector<std::string> & speakers() const { return speakers_; }

    const std::string & default_speaker() const { return default_speaker_; }

  private:
    std::shared_ptr<const SpeechModel>           model_;
    std::vector<std::string>                     speakers_;
    std::string                                  default_speaker_;
    mutable std::mutex                           mutex_;
    mutable std::shared_ptr<const TextTokenizer> tokenizer_;
};

}  // namespace omni

struct omni_model {
    std::shared_ptr<const omni::LoadedModel> loaded;
};

struct omni_probe {
    std::shared_ptr<omni::Probe> probe;
};

namespace omni {

inline std::shared_ptr<Probe> probe_of(const omni_probe * probe) {
    return probe != nullptr ? probe->probe : nullptr;
}

}  // namespace omni

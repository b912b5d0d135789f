#include <pybind11/pybind11.h>

#include <string>

#include "bindings/bindings.h"
#include "kernels/needed_instructions.h"

namespace {

// Before ggml is met, which would end the process.
void require_instructions() {
    const std::string refusal = omni::refusal();
    if (!refusal.empty()) {
        throw pybind11::import_error(refusal);
    }
}

}  // namespace

PYBIND11_MODULE(_native, m) {
    require_instructions();
    m.attr("__version__")  = OMNIGGML_VERSION;
    m.attr("ggml_version") = OMNIGGML_GGML_VERSION;
    omni::bind_log(m);
    omni::bind_errors(m);
    omni::bind_devices(m);
    omni::bind_gguf_file(m);
    omni::bind_machine(m);
    omni::bind_quantize(m);
    omni::bind_probe(m);
    omni::bind_sampler(m);
    omni::bind_text_tokenizer(m);
    omni::bind_log_mel(m);
    omni::bind_thinker(m);
    omni::bind_audio_encoder(m);
    omni::bind_vision_encoder(m);
    omni::bind_speech_model(m);
    omni::bind_talker(m);
    omni::bind_code_predictor(m);
    omni::bind_code2wav(m);
    omni::bind_engine(m);
}

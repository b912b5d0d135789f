#include <pybind11/pybind11.h>

#include <string>

#include "bindings/bindings.h"
#include "kernels/needed_instructions.h"

namespace {

// Before ggml is met, which would end the process.
void require_instructions() {
    std::string missing;
    for (const auto & name : omni::missing_instructions(omni::k_needed_instructions)) {
        missing += (missing.empty() ? "" : ", ") + name;
    }
    if (!missing.empty()) {
        throw pybind11::import_error("this build of omniggml needs instructions that this CPU does not have (" +
                                     missing +
                                     "): install it again on this machine with pip install --no-binary omniggml "
                                     "omniggml, or build it for any x86-64 CPU from 2013 on with "
                                     "-Ccmake.define.OMNIGGML_PORTABLE=ON");
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
    omni::bind_speech_model(m);
    omni::bind_talker(m);
    omni::bind_code_predictor(m);
    omni::bind_code2wav(m);
    omni::bind_engine(m);
}

#include <pybind11/pybind11.h>

#include "bindings/bindings.h"

PYBIND11_MODULE(_native, m) {
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
    omni::bind_thinker(m);
    omni::bind_speech_model(m);
    omni::bind_talker(m);
    omni::bind_code_predictor(m);
    omni::bind_code2wav(m);
    omni::bind_speech(m);
}

// The pieces of the extension module. Each function registers one class; module.cpp calls them. No logic lives here.
#pragma once

#include <pybind11/pybind11.h>

namespace omni {

void bind_log(pybind11::module_ & m);
void bind_errors(pybind11::module_ & m);
void bind_devices(pybind11::module_ & m);
void bind_gguf_file(pybind11::module_ & m);
void bind_machine(pybind11::module_ & m);
void bind_quantize(pybind11::module_ & m);
void bind_probe(pybind11::module_ & m);
void bind_sampler(pybind11::module_ & m);
void bind_text_tokenizer(pybind11::module_ & m);
void bind_log_mel(pybind11::module_ & m);
void bind_thinker(pybind11::module_ & m);
void bind_audio_encoder(pybind11::module_ & m);
void bind_vision_encoder(pybind11::module_ & m);
void bind_speech_model(pybind11::module_ & m);
void bind_talker(pybind11::module_ & m);
void bind_code_predictor(pybind11::module_ & m);
void bind_code2wav(pybind11::module_ & m);
void bind_engine(pybind11::module_ & m);

}  // namespace omni

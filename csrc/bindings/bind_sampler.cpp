#include <pybind11/stl.h>

#include "bindings/arrays.h"
#include "bindings/bindings.h"
#include "speech/philox.h"
#include "speech/sampler.h"

namespace py = pybind11;

namespace omni {

void bind_sampler(py::module_ & m) {
    const SamplingParams none;
    py::class_<SamplingParams>(m, "SamplingParams", "How the next code or token is drawn.")
        .def(py::init([](bool sample, float temperature, int64_t top_k, float top_p, float repetition_penalty) {
                 return SamplingParams{ sample, temperature, top_k, top_p, repetition_penalty };
             }),
             py::kw_only(), py::arg("sample") = none.sample, py::arg("temperature") = none.temperature,
             py::arg("top_k") = none.top_k, py::arg("top_p") = none.top_p,
             py::arg("repetition_penalty") = none.repetition_penalty, "Left out: drawing from the logits as they are.")
        .def_readwrite("sample", &SamplingParams::sample, "False: the most probable.")
        .def_readwrite("temperature", &SamplingParams::temperature, "What logits are divided by, above 0.")
        .def_readwrite("top_k", &SamplingParams::top_k, "How many of the most probable are drawn from; 0: all.")
        .def_readwrite("top_p", &SamplingParams::top_p, "The fewest whose probabilities reach this are drawn from.")
        .def_readwrite(
            "repetition_penalty", &SamplingParams::repetition_penalty,
            "What logits of ids already drawn are divided by, or multiplied with where negative; 1: nothing.");
    m.attr("TALKER_SAMPLING")    = k_talker_sampling;
    m.attr("PREDICTOR_SAMPLING") = k_predictor_sampling;
    m.attr("TALKER_MAX_FRAMES")  = k_talker_max_frames;
    m.def(
        "draw",
        [](const FloatArray & logits, const SamplingParams & params, const std::vector<int32_t> & previous,
           double uniform) { return Sampler(params).draw(to_vector(logits), previous, uniform); },
        py::arg("logits"), py::arg("params"), py::arg("previous"), py::arg("uniform"),
        R"(An id from logits [vocabulary]. `previous`: ids already drawn; `uniform`: in [0, 1).

Raises InputError for parameters that make no sense, no logits, or an id without one.)");
    m.def("philox_uniform", &philox_uniform, py::arg("seed"), py::kw_only(), py::arg("frame"), py::arg("group"),
          "The number in [0, 1) by which a code of a frame is drawn.");
}

}  // namespace omni

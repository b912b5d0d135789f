#include <pybind11/stl.h>

#include "bindings/arrays.h"
#include "bindings/bindings.h"
#include "speech/philox.h"
#include "speech/sampler.h"

namespace py = pybind11;

namespace omni {

void bind_sampler(py::module_ & m) {
    py::class_<SamplingParams>(m, "SamplingParams")
        .def(py::init([](bool sample, float temperature, int64_t top_k, float top_p, float repetition_penalty) {
                 return SamplingParams{ sample, temperature, top_k, top_p, repetition_penalty };
             }),
             py::arg("sample") = true, py::arg("temperature") = 1.0f, py::arg("top_k") = 0, py::arg("top_p") = 1.0f,
             py::arg("repetition_penalty") = 1.0f)
        .def_readwrite("sample", &SamplingParams::sample)
        .def_readwrite("temperature", &SamplingParams::temperature)
        .def_readwrite("top_k", &SamplingParams::top_k)
        .def_readwrite("top_p", &SamplingParams::top_p)
        .def_readwrite("repetition_penalty", &SamplingParams::repetition_penalty);
    m.def(
        "draw",
        [](const FloatArray & logits, const SamplingParams & params, const std::vector<int32_t> & previous,
           double uniform) {
            for (int32_t id : previous) {
                if (id < 0 || id >= logits.size()) {
                    throw Error(ErrorKind::input, "id " + std::to_string(id) + " has no logit");
                }
            }
            if (logits.size() == 0) {
                throw Error(ErrorKind::input, "there are no logits to draw from");
            }
            return Sampler(params).draw(to_vector(logits), previous, uniform);
        },
        py::arg("logits"), py::arg("params"), py::arg("previous"), py::arg("uniform"));
    m.def("philox_uniform", &philox_uniform, py::arg("seed"), py::arg("a"), py::arg("b"));
}

}  // namespace omni

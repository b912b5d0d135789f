#include <pybind11/stl.h>

#include "bindings/arrays.h"
#include "bindings/bindings.h"
#include "models/speech_model.h"

namespace py = pybind11;

namespace omni {

void bind_code2wav(py::module_ & m) {
    py::class_<Code2WavSession, std::shared_ptr<Code2WavSession>>(m, "Code2WavSession")
        .def(py::init([](std::shared_ptr<SpeechModel> model, int n_threads, std::shared_ptr<Probe> probe) {
                 return std::make_shared<Code2WavSession>(model, n_threads, std::move(probe));
             }),
             py::arg("model"), py::arg("n_threads"), py::arg("probe"))
        .def(
            "decode",
            [](Code2WavSession & self, const IntArray & codes) {
                if (codes.ndim() != 2) {
                    throw Error(ErrorKind::input, "codes must have two axes: [groups, frames]");
                }
                const auto         values = to_vector(codes);
                const int64_t      frames = codes.shape(1);
                std::vector<float> samples;
                {
                    py::gil_scoped_release release;
                    samples = self.decode(values, frames);
                }
                const auto n = (py::ssize_t) samples.size();
                return to_array(std::move(samples), { n });
            },
            py::arg("codes"))
        .def_property_readonly("n_frames", &Code2WavSession::n_frames);
}

}  // namespace omni

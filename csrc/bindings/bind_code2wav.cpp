#include <pybind11/stl.h>

#include "bindings/arrays.h"
#include "bindings/bindings.h"
#include "bindings/interpreter_lock.h"
#include "speech/speech_model.h"

namespace py = pybind11;

namespace omni {

namespace {

std::shared_ptr<Code2WavSession> session(const SpeechModel & model, int n_threads, std::shared_ptr<Probe> probe) {
    return std::make_shared<Code2WavSession>(model.code2wav(), n_threads, std::move(probe));
}

py::array_t<float> decode(Code2WavSession & self, const IntArray & codes) {
    if (codes.ndim() != 2) {
        throw Error(ErrorKind::input, "codes must have two axes: [groups, frames]");
    }
    const auto         values = to_vector(codes);
    const int64_t      frames = codes.shape(1);
    std::vector<float> samples;
    {
        LockReleased release;
        samples = self.decode(values, frames);
    }
    const auto n = (py::ssize_t) samples.size();
    return to_array(std::move(samples), { n });
}

}  // namespace

void bind_code2wav(py::module_ & m) {
    py::class_<Code2WavSession, std::shared_ptr<Code2WavSession>>(m, "Code2WavSession",
                                                                  "One stream of audio. Not for two threads at once.")
        .def(py::init(&session), py::arg("model"), py::arg("n_threads"), py::arg("probe"),
             "Raises InputError for a number of threads that can't be.")
        .def(
            "decode", &decode, py::arg("codes"),
            R"(The frames that follow those already decoded, int32 [groups, frames] -> the samples they complete, float32 [n].

Raises InputError for codes outside of the codebook, and then nothing was decoded.)")
        .def("restart", &Code2WavSession::restart, "Begins another stream; what was built for this one is used again.")
        .def_property_readonly("n_frames", &Code2WavSession::n_frames, "Frames decoded so far.");
}

}  // namespace omni

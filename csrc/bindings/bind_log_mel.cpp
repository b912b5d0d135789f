#include "bindings/arrays.h"
#include "bindings/bindings.h"
#include "bindings/interpreter_lock.h"
#include "models/log_mel.h"

namespace py = pybind11;

namespace omni {

namespace {

py::array_t<float> compute(const FloatArray & samples, int64_t n_mels, int n_threads) {
    if (samples.ndim() != 1) {
        throw Error(ErrorKind::input, "samples must have one axis");
    }
    const auto         values = to_vector(samples);
    std::vector<float> out;
    {
        LockReleased release;
        out = log_mel(values, n_mels, n_threads);
    }
    const auto frames = (py::ssize_t) n_mel_frames((int64_t) values.size());
    return to_array(std::move(out), { (py::ssize_t) n_mels, frames });
}

}  // namespace

void bind_log_mel(py::module_ & m) {
    m.attr("MEL_SAMPLE_RATE") = k_mel_sample_rate;
    m.attr("MEL_HOP")         = k_mel_hop;
    m.attr("LEAST_SAMPLES")   = k_least_samples;
    m.def("log_mel", &compute, py::arg("samples"), py::arg("n_mels"), py::kw_only(), py::arg("n_threads") = 0,
          R"(Samples at 16 kHz, float32 [n], -> log-mel features, float32 [mels, frames].

Raises InputError for fewer than LEAST_SAMPLES, for NaN and infinity, and for a number of mels that no model has.)");
}

}  // namespace omni

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings/bindings.h"
#include "core/ggml_log.h"
#include "core/probe.h"
#include "speech/philox.h"
#include "test_bindings/test_bindings.h"

namespace py = pybind11;

PYBIND11_MODULE(omniggml_test_native, m) {
    omni::listen_to_ggml([](ggml_log_level, const char *, void *) {}, nullptr);
    omni::bind_errors(m);
    omni::bind_device(m);
    omni::bind_fuzz(m);
    omni::bind_graph(m);
    omni::bind_kernels(m);
    omni::bind_threads(m);
    m.def("matches", &omni::matches, py::arg("pattern"), py::arg("name"));
    m.def("philox", &omni::philox, py::arg("seed"), py::arg("counter"));
}

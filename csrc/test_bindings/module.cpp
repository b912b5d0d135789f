#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings/bindings.h"
#include "core/probe.h"
#include "speech/philox.h"
#include "test_bindings/test_bindings.h"

namespace py = pybind11;

PYBIND11_MODULE(omniggml_test_native, m) {
    omni::bind_errors(m);
    omni::bind_kernels(m);
    m.def("matches", &omni::matches, py::arg("pattern"), py::arg("name"));
    m.def("philox", &omni::philox, py::arg("seed"), py::arg("counter"));
}

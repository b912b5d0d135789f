#include <pybind11/stl.h>

#include "bindings/bindings.h"
#include "core/error.h"
#include "core/machine.h"

namespace py = pybind11;

namespace omni {

namespace {

ggml_type float_type(const std::string & name) {
    for (ggml_type type : { GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_BF16, GGML_TYPE_Q8_0 }) {
        if (name == ggml_type_name(type)) {
            return type;
        }
    }
    throw Error(ErrorKind::input, "products are measured in f32, f16, bf16 or q8_0, not in " + name);
}

}  // namespace

void bind_machine(py::module_ & m) {
    m.def("read_bandwidth", &read_bandwidth, py::arg("nbytes"), py::arg("n_threads"), py::arg("n_passes"),
          py::call_guard<py::gil_scoped_release>());
    m.def(
        "product_throughput",
        [](const std::string & type, int64_t inner, int64_t outputs, int64_t rows, int n_threads, double seconds) {
            return product_throughput(float_type(type), inner, outputs, rows, n_threads, seconds);
        },
        py::arg("type"), py::arg("inner"), py::arg("outputs"), py::arg("rows"), py::arg("n_threads"),
        py::arg("seconds"), py::call_guard<py::gil_scoped_release>());
}

}  // namespace omni

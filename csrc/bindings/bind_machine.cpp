#include <pybind11/stl.h>

#include "bench/machine.h"
#include "bindings/bindings.h"

namespace py = pybind11;

namespace omni {

void bind_machine(py::module_ & m) {
    m.def("read_bandwidth", &read_bandwidth, py::arg("nbytes"), py::arg("n_threads"), py::arg("n_passes"),
          py::call_guard<py::gil_scoped_release>());
    m.def("product_throughput", &product_throughput, py::arg("type"), py::arg("inner"), py::arg("outputs"),
          py::arg("rows"), py::arg("n_threads"), py::arg("seconds"), py::call_guard<py::gil_scoped_release>());
}

}  // namespace omni

#include <ggml.h>
#include <pybind11/pybind11.h>

PYBIND11_MODULE(_native, m) {
    m.attr("__version__")  = OMNIGGML_VERSION;
    m.attr("ggml_version") = ggml_version();
}

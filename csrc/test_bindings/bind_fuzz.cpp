#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>

#include "test_bindings/test_bindings.h"

#if defined(__linux__)
#include "fuzz/gguf_target.h"
#endif

namespace py = pybind11;

namespace omni {

void bind_fuzz(py::module_ & m) {
#if defined(__linux__)
    m.def(
        "done_with",
        [](const std::string & file) { return done_with(reinterpret_cast<const uint8_t *>(file.data()), file.size()); },
        py::arg("file"));
#else
    (void) m;
#endif
}

}  // namespace omni

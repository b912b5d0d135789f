#include <pybind11/stl.h>

#include "bindings/bindings.h"
#include "core/gguf_file.h"

namespace py = pybind11;

namespace omni {

namespace {

// Bytes that are no UTF-8 must not make a whole file unreadable.
py::str text(const std::string & bytes) {
    return py::reinterpret_steal<py::str>(PyUnicode_DecodeUTF8(bytes.data(), (py::ssize_t) bytes.size(), "replace"));
}

struct ToPython {
    py::object operator()(const std::string & value) const { return text(value); }

    py::object operator()(const std::vector<std::string> & values) const {
        py::list out(values.size());
        for (size_t i = 0; i < values.size(); ++i) {
            out[i] = text(values[i]);
        }
        return out;
    }

    template <typename T> py::object operator()(const T & value) const { return py::cast(value); }
};

py::dict metadata(const GgufFile & file) {
    py::dict out;
    for (const auto & entry : file.metadata()) {
        out[text(entry.first)] = std::visit(ToPython{}, entry.second);
    }
    return out;
}

py::list tensors(const GgufFile & file) {
    py::list out;
    for (const auto & tensor : file.tensors()) {
        // PyTorch's order: slowest axis first.
        const std::vector<int64_t> shape(tensor.ne.rend() - tensor.n_dims, tensor.ne.rend());
        py::dict                   entry;
        entry["name"]   = text(tensor.name);
        entry["shape"]  = py::tuple(py::cast(shape));
        entry["type"]   = std::string(ggml_type_name(tensor.type));
        entry["offset"] = tensor.offset;
        entry["nbytes"] = tensor.nbytes;
        out.append(entry);
    }
    return out;
}

}  // namespace

void bind_gguf_file(py::module_ & m) {
    py::class_<GgufFile, std::shared_ptr<GgufFile>>(m, "GgufFile")
        .def(py::init<const std::string &>(), py::arg("path"), py::call_guard<py::gil_scoped_release>())
        .def_property_readonly("path", [](const GgufFile & self) { return text(self.path()); })
        .def_property_readonly("size", &GgufFile::size)
        .def("metadata", &metadata)
        .def("tensors", &tensors);
}

}  // namespace omni

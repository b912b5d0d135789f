#include <pybind11/stl.h>

#include <algorithm>

#include "bindings/bindings.h"
#include "bindings/interpreter_lock.h"
#include "gguf/gguf_file.h"
#include "gguf/planned_file.h"
#include "models/snake.h"

namespace py = pybind11;

namespace omni {

namespace {

// Bytes that are no UTF-8 must not make a whole file unreadable.
py::str text(const std::string & bytes) {
    return py::reinterpret_steal<py::str>(PyUnicode_DecodeUTF8(bytes.data(), (py::ssize_t) bytes.size(), "replace"));
}

// As os.fsdecode: what os.fsencode makes of it is the file's name again, whatever bytes that has.
py::str path_text(const std::string & path) {
    return py::reinterpret_steal<py::str>(PyUnicode_DecodeFSDefaultAndSize(path.data(), (py::ssize_t) path.size()));
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

py::dict value_types(const GgufFile & file) {
    py::dict out;
    for (size_t i = 0; i < file.value_types().size(); ++i) {
        const auto & stored                 = file.value_types()[i];
        out[text(file.metadata()[i].first)] = py::make_tuple(stored.type, stored.element);
    }
    return out;
}

py::bytes read_bytes(const GgufFile & file, uint64_t offset, size_t size) {
    std::string bytes;
    {
        LockReleased release;
        bytes = file.bytes(offset, size);
    }
    return bytes;
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

// The values a plan sets: booleans, numbers, texts, and lists of integers or texts.
GgufValue to_value(const py::handle & value) {
    if (py::isinstance<py::bool_>(value)) {
        return value.cast<bool>();
    }
    if (py::isinstance<py::int_>(value)) {
        return value.cast<int64_t>();
    }
    if (py::isinstance<py::float_>(value)) {
        return value.cast<double>();
    }
    if (py::isinstance<py::str>(value)) {
        return value.cast<std::string>();
    }
    const auto items = py::reinterpret_borrow<py::sequence>(value);
    if (py::len(items) > 0 && py::isinstance<py::str>(items[0])) {
        return value.cast<std::vector<std::string>>();
    }
    return value.cast<std::vector<int64_t>>();
}

PlannedFile::Metadata to_metadata(const py::dict & entries) {
    PlannedFile::Metadata out;
    for (const auto & entry : entries) {
        out.emplace_back(entry.first.cast<std::string>(), to_value(entry.second));
    }
    return out;
}

// What the plan's values go through, by its name in Python.
enum class Change { none, logarithm, log_of_reciprocal };

ValueChange function_of(Change change) {
    switch (change) {
        case Change::none: return nullptr;
        case Change::logarithm: return snake_alpha;
        case Change::log_of_reciprocal: return snake_beta;
    }
    return nullptr;
}

// A field of the plan's dataclass; shapes come in PyTorch's order.
PlannedTensor to_planned_tensor(const py::handle & from) {
    PlannedTensor tensor;
    tensor.name = from.attr("name").cast<std::string>();
    tensor.ne   = from.attr("shape").cast<std::vector<int64_t>>();
    tensor.view = from.attr("view").cast<std::vector<int64_t>>();
    tensor.axes = from.attr("axes").cast<std::vector<int>>();
    std::reverse(tensor.ne.begin(), tensor.ne.end());
    std::reverse(tensor.view.begin(), tensor.view.end());
    std::reverse(tensor.axes.begin(), tensor.axes.end());
    for (auto & axis : tensor.axes) {
        axis = (int) tensor.axes.size() - 1 - axis;
    }
    using Part = std::tuple<size_t, std::string, int64_t, int64_t>;
    for (const auto & [file, name, slice, slices] : from.attr("parts").cast<std::vector<Part>>()) {
        tensor.parts.push_back({ file, name, slice, slices });
    }
    tensor.change = function_of(from.attr("change").cast<Change>());
    return tensor;
}

std::shared_ptr<PlannedFile> plan_file(const std::vector<std::string> & paths, const py::dict & metadata,
                                       const py::iterable & tensors) {
    std::vector<PlannedTensor> plan;
    for (const auto & tensor : tensors) {
        plan.push_back(to_planned_tensor(tensor));
    }
    return std::make_shared<PlannedFile>(paths, to_metadata(metadata), std::move(plan));
}

}  // namespace

void bind_gguf_file(py::module_ & m) {
    py::class_<GgufFile, std::shared_ptr<GgufFile>>(m, "GgufFile", "A GGUF file whose header was read and found sound.")
        .def(py::init<const std::string &>(), py::arg("path"), py::call_guard<LockReleased>(),
             "Raises ModelFileError for a file that is not sound.")
        .def_property_readonly(
            "path", [](const GgufFile & self) { return path_text(self.path()); }, "The path as it was given.")
        .def_property_readonly("size", &GgufFile::size, "Bytes of the file.")
        .def("read", &read_bytes, py::arg("offset"), py::arg("size"),
             "Bytes of the file. Raises ModelFileError where it has none.")
        .def("metadata", &metadata, "Key -> value; every integer type as int, every float type as float.")
        .def("value_types", &value_types,
             "Key -> the GGUF type of its value, and that of its elements where it is an array; as in `metadata`.")
        .def("tensors", &tensors,
             "name, shape (slowest axis first), type, offset and nbytes of each tensor, in the order of the file.");

    py::enum_<Change>(m, "ValueChange", "What a planned tensor's stored values go through.")
        .value("none", Change::none)
        .value("logarithm", Change::logarithm, "log(v): Snake's alpha from its frequency.")
        .value("log_of_reciprocal", Change::log_of_reciprocal, "log(1 / v - eps): Snake's beta from its magnitude.");

    py::class_<PlannedFile, GgufFile, std::shared_ptr<PlannedFile>>(
        m, "PlannedFile", "Files of a foreign layout, seen as one of ours by a plan.")
        .def(py::init(&plan_file), py::arg("paths"), py::arg("metadata"), py::arg("tensors"),
             R"(`metadata` stands in the place of equal keys of the first file; `tensors`: objects with the fields of
`PlannedTensor`. Raises ModelFileError for a file that can't be read and for a plan that it doesn't fulfil.)");
}

}  // namespace omni

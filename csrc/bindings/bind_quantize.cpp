#include <pybind11/stl.h>

#include "bindings/arrays.h"
#include "bindings/bindings.h"
#include "bindings/interpreter_lock.h"
#include "core/quantize.h"

namespace py = pybind11;

namespace omni {

namespace {

py::bytes quantize(const FloatArray & rows, const std::string & type, const std::optional<FloatArray> & importance) {
    require_matrix(rows, "rows to quantize");
    const auto  weights = importance ? to_vector(*importance) : std::vector<float>();
    std::string out;
    {
        LockReleased release;
        out = quantize_rows(rows.data(), rows.shape(0), rows.shape(1), type, importance ? &weights : nullptr);
    }
    return py::bytes(out);
}

}  // namespace

void bind_quantize(py::module_ & m) {
    m.def(
        "quantize_rows", &quantize, py::arg("rows"), py::arg("type"), py::kw_only(), py::arg("importance") = py::none(),
        R"(Float32 rows [n, width] as bytes of a type ("q8_0"), by ggml's own quantizers. `importance`: a weight per column.

Raises InputError for a type that can't hold weights, or not without an importance matrix, and for a width that is no
whole number of blocks.)");
    m.def(
        "dequantize",
        [](const py::bytes & data, const std::string & type) {
            auto       values = dequantize(data, type);
            const auto n      = (py::ssize_t) values.size();
            return to_array(std::move(values), { n });
        },
        py::arg("data"), py::arg("type"),
        "Bytes of whole blocks of a type as float32 [n]. Raises InputError for others.");
    m.def(
        "block_of",
        [](const std::string & type) {
            const Block block = block_of(type);
            return py::make_tuple(block.n_values, block.nbytes);
        },
        py::arg("type"), "Values and bytes of a type's block. Raises InputError for a name that no type has.");
}

}  // namespace omni

#include <ggml.h>
#include <pybind11/stl.h>

#include "bindings/arrays.h"
#include "bindings/bindings.h"
#include "error/error.h"
#include "gguf/gguf_file.h"

namespace py = pybind11;

namespace omni {

namespace {

ggml_type type_named(const std::string & name) {
    for (int i = 0; i < GGML_TYPE_COUNT; ++i) {
        const auto   type  = (ggml_type) i;
        const char * known = ggml_type_name(type);
        if (known != nullptr && name == known && ggml_blck_size(type) > 0) {
            return type;
        }
    }
    throw Error(ErrorKind::input, "there is no type \"" + name + "\"");
}

// Q8_1 and Q8_K are for activations only; ggml has no quantizer of weights for them.
bool can_hold_weights(ggml_type type) {
    const bool plain = type == GGML_TYPE_F32 || type == GGML_TYPE_F16 || type == GGML_TYPE_BF16;
    return plain || (ggml_is_quantized(type) && type != GGML_TYPE_Q8_1 && type != GGML_TYPE_Q8_K);
}

// Rows of float32 as bytes of a type, by ggml's own quantizers. `importance`: a weight per column, or none.
py::bytes quantize_rows(const FloatArray & rows, const std::string & name, const py::object & importance) {
    const ggml_type type = type_named(name);
    if (rows.ndim() != 2 || rows.shape(1) % ggml_blck_size(type) != 0) {
        throw Error(ErrorKind::input, "rows to quantize must be two-dimensional and whole blocks of " + name);
    }
    if (!can_hold_weights(type)) {
        throw Error(ErrorKind::input, "the type " + name + " can't hold weights");
    }
    std::vector<float> weights;
    if (!importance.is_none()) {
        weights = to_vector(importance.cast<FloatArray>());
        if ((py::ssize_t) weights.size() != rows.shape(1)) {
            throw Error(ErrorKind::input, "importance must have one value for each column");
        }
    }
    if (ggml_quantize_requires_imatrix(type) && weights.empty()) {
        throw Error(ErrorKind::input, "the type " + name + " can't be made without an importance matrix");
    }
    const auto    n_rows = (int64_t) rows.shape(0);
    const auto    width  = (int64_t) rows.shape(1);
    std::string   out(ggml_row_size(type, width) * (size_t) n_rows, '\0');
    const float * from = rows.data();
    {
        py::gil_scoped_release release;
        ggml_quantize_chunk(type, from, out.data(), 0, n_rows, width, weights.empty() ? nullptr : weights.data());
    }
    return py::bytes(out);
}

// The other way: bytes of whole blocks as float32.
py::array dequantize(const py::bytes & bytes, const std::string & name) {
    const ggml_type type   = type_named(name);
    const auto      data   = std::string(bytes);
    const auto *    traits = ggml_get_type_traits(type);
    if ((type != GGML_TYPE_F32 && traits->to_float == nullptr) || data.size() % ggml_type_size(type) != 0) {
        throw Error(ErrorKind::input, "these bytes are no whole blocks of " + name);
    }
    const auto         n = (int64_t) (data.size() / ggml_type_size(type)) * ggml_blck_size(type);
    std::vector<float> values((size_t) n);
    if (type == GGML_TYPE_F32) {
        std::copy_n(data.data(), data.size(), reinterpret_cast<char *>(values.data()));
    } else {
        traits->to_float(data.data(), values.data(), n);
    }
    return to_array(std::move(values), { (py::ssize_t) n });
}

py::tuple block_of(const std::string & name) {
    const ggml_type type = type_named(name);
    return py::make_tuple(ggml_blck_size(type), ggml_type_size(type));
}

}  // namespace

void bind_quantize(py::module_ & m) {
    m.def("quantize_rows", &quantize_rows, py::arg("rows"), py::arg("type"), py::arg("importance") = py::none());
    m.def("dequantize", &dequantize, py::arg("data"), py::arg("type"));
    m.def("block_of", &block_of, py::arg("type"), "Values and bytes of a block.");
}

}  // namespace omni

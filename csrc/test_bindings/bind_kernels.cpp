// The CPU kernels alone.
#include <pybind11/stl.h>

#include <string>

#include "bindings/arrays.h"
#include "core/fastest_conv.h"
#include "core/quantize.h"
#include "kernels/bf16.h"
#include "kernels/block_product.h"
#include "kernels/conv.h"
#include "kernels/gelu.h"
#include "kernels/needed_instructions.h"
#include "kernels/snake.h"
#include "kernels/softmax.h"
#include "ops/conv_op.h"
#include "ops/expert_shares.h"
#include "ops/product_op.h"
#include "test_bindings/test_bindings.h"

namespace py = pybind11;

namespace omni {

namespace {

constexpr int k_parts = 3;  // as if by three threads

void require(bool holds, const char * what) {
    if (!holds) {
        throw Error(ErrorKind::input, what);
    }
}

Simd simd_named(const std::string & name) {
    const Simd wanted = name == "avx512" ? Simd::avx512 : name == "avx2" ? Simd::avx2 : Simd::generic;
    require(wanted <= best_simd(), "this CPU does not have that instruction set");
    return wanted;
}

Bf16 bf16_named(const std::string & name) {
    const Bf16 wanted = name == "bf16-amx" ? Bf16::amx : name == "bf16-avx512" ? Bf16::avx512 : Bf16::none;
    // Every CPU with AMX tiles has AVX-512's products, too.
    require(wanted <= best_bf16(), "this CPU does not have those bfloat16 products");
    return wanted;
}

PanelType panels_named(const std::string & name) {
    require(name == "f32" || name == "f16" || name == "bf16", "panels hold f32, f16 or bf16");
    return name == "f16" ? PanelType::f16 : name == "bf16" ? PanelType::bf16 : PanelType::f32;
}

std::vector<uint16_t> to_f16(const std::vector<float> & values) {
    std::vector<uint16_t> out(values.size());
    ggml_fp32_to_fp16_row(values.data(), reinterpret_cast<ggml_fp16_t *>(out.data()), (int64_t) values.size());
    return out;
}

std::vector<uint16_t> to_bf16(const std::vector<float> & values) {
    std::vector<uint16_t> out(values.size());
    ggml_fp32_to_bf16_row(values.data(), reinterpret_cast<ggml_bf16_t *>(out.data()), (int64_t) values.size());
    return out;
}

// x [rows + (taps - 1) * dilation, in], weight [out, in, taps], bias [out], residual [rows, out] -> [rows, out].
// `panels`: what an f32 kind keeps the weights in.
py::array_t<float> convolve(const FloatArray & x, const FloatArray & weight, const FloatArray & bias,
                            const FloatArray & residual, int64_t dilation, const std::string & kind,
                            const std::string & panels) {
    require(x.ndim() == 2 && weight.ndim() == 3 && residual.ndim() == 2 && dilation > 0,
            "x, weight or residual is off");
    const int64_t  in   = weight.shape(1);
    const int64_t  taps = weight.shape(2);
    const int64_t  out  = weight.shape(0);
    const int64_t  rows = x.shape(0) - (taps - 1) * dilation;
    const Bf16     bf16 = bf16_named(kind);
    const ConvForm form = bf16 != Bf16::none ? ConvForm::bf16 : ConvForm::f32;
    require(x.shape(1) == in && rows > 0 && bias.size() == out && residual.shape(0) == rows && residual.shape(1) == out,
            "the shapes do not fit each other");
    require(form == ConvForm::f32 || in % k_bf16_block == 0, "bfloat16 works on blocks of 32 channels");

    std::vector<float> packed((size_t) conv_weight_size(form, in, out, taps));
    for (size_t i = 0; i < packed.size(); ++i) {
        const ConvWeight at = conv_weight_at(form, (int64_t) i, in, taps);
        packed[i]           = at.output < out ? weight.at(at.output, at.channel, at.tap) : 0.0f;
    }
    std::vector<float> input(x.data(), x.data() + x.size());
    input.resize(input.size() + (size_t) (k_bf16_tail * in));
    const auto         small_input  = to_bf16(input);
    const bool         small        = form == ConvForm::bf16;
    const PanelType    stored       = small ? PanelType::bf16 : panels_named(panels);
    const auto         small_weight = stored == PanelType::f16 ? to_f16(packed) : to_bf16(packed);
    std::vector<float> y((size_t) (rows * out));
    const ConvJob      job{ small ? (const void *) small_input.data() : input.data(),
                            stored == PanelType::f32 ? (const void *) packed.data() : small_weight.data(),
                            bias.data(),
                            residual.data(),
                            y.data(),
                            rows,
                            in,
                            out,
                            taps,
                            out,
                            in,
                            dilation * in,
                            out,
                            stored };
    for (int part = 0; part < k_parts; ++part) {
        if (small) {
            conv_bf16(job, bf16, part, k_parts);
        } else {
            conv_f32(job, simd_named(kind), part, k_parts);
        }
    }
    return to_array(std::move(y), { rows, out });
}

// x [rows, channels] -> the same.
py::array_t<float> snake(const FloatArray & x, const FloatArray & frequency, const FloatArray & magnitude,
                         const std::string & kind) {
    require(x.ndim() == 2 && x.shape(1) == frequency.size() && frequency.size() == magnitude.size(),
            "the shapes do not fit each other");
    std::vector<float> y((size_t) x.size());
    snake_f32({ x.data(), frequency.data(), magnitude.data(), x.shape(0), x.shape(1) }, y.data(), simd_named(kind));
    return to_array(std::move(y), { x.shape(0), x.shape(1) });
}

py::array_t<float> gelu(const FloatArray & x, const std::string & kind, bool by_tanh) {
    std::vector<float> y((size_t) x.size());
    (by_tanh ? gelu_tanh_f32 : gelu_f32)(x.data(), y.data(), x.size(), simd_named(kind));
    return to_array(std::move(y), { x.size() });
}

py::array_t<float> softmax_of(const FloatArray & x, float scale, const std::string & kind) {
    std::vector<float> y(x.data(), x.data() + x.size());
    softmax(y.data(), x.size(), scale, simd_named(kind));
    return to_array(std::move(y), { x.size() });
}

// Bits of what `from` ("f32", "f16", "q8_0") holds, rounded to bfloat16.
py::array_t<uint16_t> rounded(const py::array_t<uint8_t, py::array::c_style> & bytes, const std::string & from,
                              int64_t n) {
    py::array_t<uint16_t> out(n);
    const uint8_t *       x = bytes.data();
    if (from == "f32") {
        bf16_from_f32(reinterpret_cast<const float *>(x), out.mutable_data(), n);
    } else if (from == "f16") {
        bf16_from_f16(reinterpret_cast<const uint16_t *>(x), out.mutable_data(), n);
    } else {
        bf16_from_q8_0(reinterpret_cast<const char *>(x), out.mutable_data(), n);
    }
    return out;
}

// weight: rows of blocks, uint8 [rows, bytes]; x [columns, in] -> [columns, rows].
py::array_t<float> block_product(const py::array_t<uint8_t, py::array::c_style> & weight, const std::string & type,
                                 const FloatArray & x) {
    require(has_block_product(), "this CPU does not have the instructions");
    const Block block  = block_of(type);
    const auto  format = format_of(type_named(type));
    require(format.has_value(), "there is no kernel for that type");
    require(weight.ndim() == 2 && x.ndim() == 2 && x.shape(1) % block.n_values == 0 &&
                weight.shape(1) == x.shape(1) / block.n_values * (int64_t) block.nbytes,
            "the shapes do not fit each other");
    const int64_t             in   = x.shape(1);
    const int64_t             rows = weight.shape(0);
    const auto                n    = (size_t) x.shape(0);
    std::vector<char>         columns(n * (size_t) block_column_bytes(in));
    std::vector<float>        y(n * (size_t) rows);
    std::vector<const char *> from;
    std::vector<float *>      to;
    for (size_t i = 0; i < n; ++i) {
        char * column = columns.data() + i * (size_t) block_column_bytes(in);
        quantize_column(x.data() + (int64_t) i * in, in, column);
        from.push_back(column);
        to.push_back(y.data() + i * (size_t) rows);
    }
    if (n > 0) {
        const auto * bytes = reinterpret_cast<const char *>(weight.data());
        multiply({ *format, bytes, in, 0, rows }, from.data(), to.data(), (int) n);
    }
    return to_array(std::move(y), { x.shape(0), rows });
}

// Rows [begin, end) of every expert, with so many columns each, that each part takes: [part][expert].
std::vector<std::vector<std::pair<int64_t, int64_t>>> expert_shares(int64_t rows, const std::vector<int64_t> & columns,
                                                                    int parts) {
    int64_t sum = 0;
    for (const int64_t n : columns) {
        sum += n;
    }
    std::vector<std::vector<std::pair<int64_t, int64_t>>> shares((size_t) parts);
    for (int part = 0; part < parts; ++part) {
        ExpertShares share(rows, (int64_t) columns.size(), sum, part, parts);
        for (const int64_t n : columns) {
            const Share mine = share.next(n);
            shares[(size_t) part].emplace_back(mine.begin, mine.end);
        }
    }
    return shares;
}

std::vector<std::string> kinds() {
    std::vector<std::string> names{ "generic" };
    if (best_simd() >= Simd::avx2) {
        names.emplace_back("avx2");
    }
    if (best_simd() >= Simd::avx512) {
        names.emplace_back("avx512");
    }
    if (best_bf16() >= Bf16::avx512) {
        names.emplace_back("bf16-avx512");
    }
    if (best_bf16() >= Bf16::amx) {
        names.emplace_back("bf16-amx");
    }
    return names;
}

}  // namespace

void bind_kernels(py::module_ & m) {
    m.def("kinds", [] { return py::tuple(py::cast(kinds())); });
    m.def("convolve", &convolve, py::arg("x"), py::arg("weight"), py::arg("bias"), py::arg("residual"),
          py::arg("dilation"), py::arg("kind"), py::arg("panels") = "f32");
    m.def("missing_instructions", [](const std::vector<std::string> & names) {
        std::vector<const char *> ended;
        for (const auto & name : names) {
            ended.push_back(name.c_str());
        }
        ended.push_back(nullptr);
        return missing_instructions(ended.data());
    });
    m.def("faster_form",
          [](double f32, double bf16) { return faster_form({ f32, bf16 }) == ConvForm::bf16 ? "bf16" : "f32"; });
    m.def("has_block_product", &has_block_product);
    m.def("block_product", &block_product, py::arg("weight"), py::arg("type"), py::arg("x"));
    m.def("expert_shares", &expert_shares, py::arg("rows"), py::arg("columns"), py::arg("parts"));
    m.def("gelu", &gelu, py::arg("x"), py::arg("kind"), py::arg("by_tanh") = false);
    m.def("softmax", &softmax_of, py::arg("x"), py::arg("scale"), py::arg("kind"));
    m.def("rounded", &rounded, py::arg("bytes"), py::arg("kind"), py::arg("n"));
    m.def("snake", &snake, py::arg("x"), py::arg("frequency"), py::arg("magnitude"), py::arg("kind"));
}

}  // namespace omni

#include "ops/linear_op.h"

#include <algorithm>
#include <array>

#include "kernels/bf16.h"
#include "kernels/conv.h"
#include "kernels/panels.h"
#include "kernels/share.h"
#include "ops/values.h"

namespace omni {

namespace {

constexpr int64_t k_panels = 2;  // at once, as the kernels take them
// Inputs that are packed at once: what two panels of them take is a tenth of a core's second cache, and a stack bears
// it. Multiples of every quantized type's blocks.
constexpr int64_t k_f32_inputs  = 512;
constexpr int64_t k_bf16_inputs = 1280;

template <typename T> struct Block;

template <> struct Block<float> {
    static constexpr int64_t size = k_f32_inputs;
};

template <> struct Block<uint16_t> {
    static constexpr int64_t size = k_bf16_inputs;
};

// n values of a stored row from `first` on.
void read_row(const ggml_tensor * weight, int64_t row, int64_t first, int64_t n, float * to) {
    const char * from =
        static_cast<const char *>(weight->data) + (size_t) row * weight->nb[1] + ggml_row_size(weight->type, first);
    if (weight->type == GGML_TYPE_F32) {
        std::copy_n(reinterpret_cast<const float *>(from), n, to);
    } else {
        ggml_get_type_traits(weight->type)->to_float(from, to, n);
    }
}

void read_row(const ggml_tensor * weight, int64_t row, int64_t first, int64_t n, uint16_t * to) {
    const char * from =
        static_cast<const char *>(weight->data) + (size_t) row * weight->nb[1] + ggml_row_size(weight->type, first);
    switch (weight->type) {
        case GGML_TYPE_BF16: std::copy_n(reinterpret_cast<const uint16_t *>(from), n, to); break;
        case GGML_TYPE_F16: bf16_from_f16(reinterpret_cast<const uint16_t *>(from), to, n); break;
        case GGML_TYPE_Q8_0: bf16_from_q8_0(from, to, n); break;
        default: {
            float values[k_bf16_inputs];
            read_row(weight, row, first, n, values);
            bf16_from_f32(values, to, n);
        }
    }
}

// Outputs 16 * panel and on, inputs `first` and on, packed. Outputs that are not there are zeros.
template <typename T> void pack(const ggml_tensor * weight, int64_t panel, int64_t first, int64_t n, T * packed) {
    alignas(64) T    rows[k_conv_panel][Block<T>::size];
    const uint32_t * words[k_conv_panel];
    for (int64_t r = 0; r < k_conv_panel; ++r) {
        const int64_t row = panel * k_conv_panel + r;
        if (row < weight->ne[1]) {
            read_row(weight, row, first, n, rows[r]);
        } else {
            std::fill_n(rows[r], n, T{});
        }
        words[r] = reinterpret_cast<const uint32_t *>(rows[r]);
    }
    transpose_panel(words, n * (int64_t) sizeof(T) / (int64_t) sizeof(uint32_t), reinterpret_cast<uint32_t *>(packed),
                    best_simd());
}

void multiply(const ConvJob & job, const float * /*form*/) {
    conv_f32(job, best_simd(), 0, 1);
}

void multiply(const ConvJob & job, const uint16_t * /*form*/) {
    conv_bf16(job, best_bf16(), 0, 1);
}

// Panels `panel` and, as far as there are two, the next, of all rows.
template <typename T> void linear_panels(ggml_tensor * y, int64_t panel, int64_t panels) {
    const ggml_tensor * weight = y->src[0];
    const ggml_tensor * x      = y->src[1];
    const int64_t       in = weight->ne[0], out = weight->ne[1], first = panel * k_conv_panel;
    alignas(64) T       packed[k_panels * k_conv_panel * Block<T>::size];
    ConvJob             job{};
    job.weight      = packed;
    job.y           = static_cast<float *>(y->data) + first;
    job.rows        = ggml_nrows(y);
    job.out         = std::min(panels * k_conv_panel, out - first);
    job.taps        = 1;
    job.bias_period = job.out;
    job.x_row       = in;
    job.y_row       = out;
    for (int64_t at = 0; at < in; at += Block<T>::size) {
        job.in = std::min(Block<T>::size, in - at);
        job.x  = static_cast<const T *>(x->data) + at;
        for (int64_t p = 0; p < panels; ++p) {
            pack(weight, panel + p, at, job.in, packed + p * k_conv_panel * job.in);
        }
        job.residual = at > 0 ? job.y : nullptr;
        if (at + job.in == in && y->src[2] != nullptr) {
            job.bias = static_cast<const float *>(y->src[2]->data) + first;
        }
        multiply(job, static_cast<const T *>(nullptr));
    }
}

template <typename T> void compute_linear(ggml_tensor * y, int part, int parts, void * /*unused*/) {
    const int64_t panels = (y->ne[0] + k_conv_panel - 1) / k_conv_panel;
    const Share   share  = share_of(panels, k_panels, part, parts);
    for (int64_t panel = share.begin; panel < share.end; panel += k_panels) {
        linear_panels<T>(y, panel, std::min(k_panels, share.end - panel));
    }
}

// y: rows of x as T, then rows of nothing.
template <typename T, void (*change)(const float *, T *, int64_t)>
void compute_rows(ggml_tensor * y, int part, int parts, void * /*unused*/) {
    const ggml_tensor * x    = y->src[0];
    const int64_t       in   = x->ne[0];
    const Share         rows = share_of(ggml_nrows(x), 1, part, parts);
    change(static_cast<const float *>(x->data) + rows.begin * in, static_cast<T *>(y->data) + rows.begin * in,
           (rows.end - rows.begin) * in);
    if (part == 0) {
        std::fill_n(static_cast<T *>(y->data) + ggml_nelements(x), ggml_nelements(y) - ggml_nelements(x), T{});
    }
}

template <typename T> ggml_custom_op_t rows_of(Activation activation) {
    switch (activation) {
        case Activation::gelu: return compute_rows<T, gelu_as>;
        case Activation::gelu_tanh: return compute_rows<T, gelu_tanh_as>;
        default: return compute_rows<T, values_as>;
    }
}

}  // namespace

ConvForm linear_form(ConvForm wanted, const ggml_tensor * weight) {
    return wanted == ConvForm::bf16 && weight->type == GGML_TYPE_F32 ? ConvForm::f32
                                                                     : conv_form_for(wanted, weight->ne[0]);
}

ggml_tensor * activation_node(ggml_context * context, ggml_tensor * x, Activation activation) {
    return ggml_custom_4d(context, GGML_TYPE_F32, x->ne[0], x->ne[1], x->ne[2], x->ne[3], &x, 1,
                          rows_of<float>(activation), GGML_N_TASKS_MAX, nullptr);
}

// In the type of the form: [in, rows and some].
ggml_tensor * LinearNodes::inputs(ggml_context * context, ConvForm form, ggml_tensor * x, Activation activation) {
    if (form == ConvForm::f32 && activation == Activation::none) {
        return x;
    }
    ggml_tensor *& known = inputs_[{ x, form, activation }];
    if (known != nullptr) {
        return known;
    }
    if (form == ConvForm::f32) {
        known = activation_node(context, x, activation);
    } else {
        known = ggml_custom_4d(context, GGML_TYPE_BF16, x->ne[0], ggml_nrows(x) + k_bf16_tail, 1, 1, &x, 1,
                               rows_of<uint16_t>(activation), GGML_N_TASKS_MAX, nullptr);
    }
    return known;
}

ggml_tensor * LinearNodes::linear(ggml_context * context, ConvForm form, ggml_tensor * weight, ggml_tensor * x,
                                  ggml_tensor * bias, Activation activation) {
    ggml_tensor * args[] = { weight, inputs(context, form, x, activation), bias };
    return ggml_custom_4d(
        context, GGML_TYPE_F32, weight->ne[1], x->ne[1], x->ne[2], x->ne[3], args, bias != nullptr ? 3 : 2,
        form == ConvForm::bf16 ? compute_linear<uint16_t> : compute_linear<float>, GGML_N_TASKS_MAX, nullptr);
}

}  // namespace omni

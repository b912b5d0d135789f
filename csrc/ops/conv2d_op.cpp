#include "ops/conv2d_op.h"

#include <algorithm>

#include "kernels/conv.h"
#include "kernels/share.h"
#include "ops/values.h"

namespace omni {

namespace {

constexpr int64_t k_kernel = 3;
constexpr int64_t k_stride = 2;
constexpr int64_t k_panels = 2;  // at once, as the kernels take them

// y: [in, times + 2, mels + 2, chunks and some].
template <typename T, void (*change)(const float *, T *, int64_t)>
void compute_frame(ggml_tensor * y, int part, int parts, void * /*unused*/) {
    const ggml_tensor * x     = y->src[0];
    const int64_t       row   = x->ne[0] * x->ne[1];  // all times
    const int64_t       pitch = y->ne[0] * y->ne[1];
    const Share         rows  = share_of(y->ne[2] * y->ne[3], 1, part, parts);
    for (int64_t i = rows.begin; i < rows.end; ++i) {
        T *           to    = static_cast<T *>(y->data) + i * pitch;
        const int64_t chunk = i / y->ne[2], mel = i % y->ne[2] - 1;
        if (chunk >= x->ne[3] || mel < 0 || mel >= x->ne[2]) {
            std::fill_n(to, pitch, T{});
            continue;
        }
        std::fill_n(to, x->ne[0], T{});
        change(static_cast<const float *>(x->data) + (chunk * x->ne[2] + mel) * row, to + x->ne[0], row);
        std::fill_n(to + x->ne[0] + row, x->ne[0], T{});
    }
}

void multiply(const ConvJob & job, const float * /*form*/) {
    conv_f32(job, best_simd(), 0, 1);
}

void multiply(const ConvJob & job, const uint16_t * /*form*/) {
    conv_bf16(job, best_bf16(), 0, 1);
}

// The rows of mels of all chunks are shared out. Two panels of weights pass over a part's rows before the next two.
template <typename T> void compute_conv2d(ggml_tensor * y, int part, int parts, void * /*unused*/) {
    const ggml_tensor * x      = y->src[0];
    const int64_t       in     = x->ne[0];
    const int64_t       out    = y->ne[0];
    const int64_t       pitch  = in * x->ne[1];
    const int64_t       panels = (out + k_conv_panel - 1) / k_conv_panel;
    const Share         rows   = share_of(y->ne[2] * y->ne[3], 1, part, parts);
    ConvJob             job{};
    job.rows  = y->ne[1];
    job.in    = k_kernel * in;
    job.taps  = k_kernel;
    job.x_row = k_stride * in;
    job.x_tap = pitch;
    job.y_row = out;
    for (int64_t panel = 0; panel < panels; panel += k_panels) {
        const int64_t first = panel * k_conv_panel;
        job.out             = std::min(k_panels * k_conv_panel, out - first);
        job.weight          = static_cast<const T *>(y->src[1]->data) + first * job.taps * job.in;
        job.bias            = static_cast<const float *>(y->src[2]->data) + first;
        job.bias_period     = job.out;
        for (int64_t i = rows.begin; i < rows.end; ++i) {
            const int64_t mel = i % y->ne[2], chunk = i / y->ne[2];
            job.x = static_cast<const T *>(x->data) + (chunk * x->ne[2] + k_stride * mel) * pitch;
            job.y = static_cast<float *>(y->data) + i * y->ne[1] * out + first;
            multiply(job, static_cast<const T *>(nullptr));
        }
    }
}

}  // namespace

ConvForm conv2d_form(ConvForm wanted, int64_t in) {
    return conv_form_for(wanted, k_kernel * in);
}

int64_t conv2d_weight_size(ConvForm form, int64_t in, int64_t out) {
    return conv_weight_size(form, k_kernel * in, out, k_kernel);
}

int64_t conv2d_weight_at(ConvForm form, int64_t i, int64_t in, int64_t out) {
    const ConvWeight at = conv_weight_at(form, i, k_kernel * in, k_kernel);
    if (at.output >= out) {
        return -1;
    }
    const int64_t time = at.channel / in, channel = at.channel % in;
    return ((at.output * in + channel) * k_kernel + at.tap) * k_kernel + time;
}

ggml_tensor * framed_map(ggml_context * context, ConvForm form, ggml_tensor * x, bool with_gelu) {
    const int64_t times = x->ne[1] + k_kernel - 1, mels = x->ne[2] + k_kernel - 1;
    // What the kernels read beyond the last row.
    const int64_t tail   = form == ConvForm::bf16 ? k_stride * k_bf16_tail : 0;
    const int64_t chunks = x->ne[3] + (tail + times * mels - 1) / (times * mels);
    const auto    plain = form == ConvForm::bf16 ? compute_frame<uint16_t, values_as> : compute_frame<float, values_as>;
    const auto    active = form == ConvForm::bf16 ? compute_frame<uint16_t, gelu_as> : compute_frame<float, gelu_as>;
    return ggml_custom_4d(context, conv_input_type(form), x->ne[0], times, mels, chunks, &x, 1,
                          with_gelu ? active : plain, GGML_N_TASKS_MAX, nullptr);
}

ggml_tensor * conv2d(ggml_context * context, ConvForm form, ggml_tensor * framed, ggml_tensor * weight,
                     ggml_tensor * bias, const std::array<int64_t, 3> & map) {
    ggml_tensor * args[] = { framed, weight, bias };
    return ggml_custom_4d(context, GGML_TYPE_F32, ggml_nelements(bias), halved(map[0]), halved(map[1]), map[2], args, 3,
                          form == ConvForm::bf16 ? compute_conv2d<uint16_t> : compute_conv2d<float>, GGML_N_TASKS_MAX,
                          nullptr);
}

}  // namespace omni

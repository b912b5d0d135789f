#include "ops/conv_op.h"

#include <algorithm>
#include <cstring>

#include "kernels/conv.h"
#include "kernels/share.h"
#include "kernels/snake.h"

namespace omni {

ConvForm choose_conv_form(bool on_cpu, bool exact) {
    if (!on_cpu) {
        return ConvForm::plain;
    }
    return !exact && best_bf16() != Bf16::none ? ConvForm::bf16 : ConvForm::f32;
}

ConvForm conv_form_for(ConvForm wanted, int64_t in) {
    return wanted == ConvForm::bf16 && in % k_bf16_block != 0 ? ConvForm::f32 : wanted;
}

ggml_type conv_input_type(ConvForm form) {
    return form == ConvForm::bf16 ? GGML_TYPE_BF16 : GGML_TYPE_F32;
}

ggml_type conv_weight_type(ConvForm form, ggml_type stored) {
    const bool small = stored == GGML_TYPE_F16 || stored == GGML_TYPE_BF16;
    const bool kept  = form == ConvForm::plain || (form == ConvForm::f32 && best_simd() != Simd::generic);
    return small && kept ? stored : conv_input_type(form);
}

int64_t conv_weight_size(ConvForm form, int64_t in, int64_t out, int64_t taps) {
    return form == ConvForm::plain ? in * out * taps : packed_conv_size(in, out, taps);
}

ConvWeight conv_weight_at(ConvForm form, int64_t i, int64_t in, int64_t taps) {
    if (form == ConvForm::plain) {
        return { i / (in * taps), i / in % taps, i % in };
    }
    const ConvIndex at = form == ConvForm::bf16 ? packed_bf16_index(i, in, taps) : packed_f32_index(i, in, taps);
    return { at.output, at.tap, at.channel };
}

namespace {

PanelType panels_of(const ggml_tensor * weight) {
    switch (weight->type) {
        case GGML_TYPE_F16: return PanelType::f16;
        case GGML_TYPE_BF16: return PanelType::bf16;
        default: return PanelType::f32;
    }
}

void convert_row(const float * from, float * to, int64_t n) {
    std::memcpy(to, from, (size_t) n * sizeof(float));
}

void convert_row(const float * from, uint16_t * to, int64_t n) {
    ggml_fp32_to_bf16_row(from, reinterpret_cast<ggml_bf16_t *>(to), n);
}

void snake_row(const SnakeJob & job, float * y) {
    snake_f32(job, y, best_simd());
}

void snake_row(const SnakeJob & job, uint16_t * y) {
    snake_bf16(job, y, best_simd());
}

template <typename T>
void fill_rows(ggml_tensor * y, const ggml_tensor * x, const SnakeJob * snake, int64_t context, Share rows) {
    const int64_t channels = y->ne[0];
    auto *        to       = static_cast<T *>(y->data) + (context + rows.begin) * channels;
    const auto *  from     = static_cast<const float *>(x->data) + rows.begin * channels;
    if (snake == nullptr) {
        convert_row(from, to, (rows.end - rows.begin) * channels);
        return;
    }
    SnakeJob job = *snake;
    job.x        = from;
    job.rows     = rows.end - rows.begin;
    snake_row(job, to);
}

}  // namespace

ggml_tensor * ConvNodes::inputs(ggml_context * c, ConvForm form, ggml_tensor * state, ggml_tensor * x,
                                ggml_tensor * frequency, ggml_tensor * magnitude) {
    const int64_t              context = state != nullptr ? state->ne[1] : 0;
    const int64_t              tail    = form == ConvForm::bf16 ? k_bf16_tail : 0;
    std::vector<ggml_tensor *> args{ x };
    if (state != nullptr) {
        args.push_back(state);
    }
    if (frequency != nullptr) {
        args.push_back(frequency);
        args.push_back(magnitude);
    }
    shapes_.push_back(std::make_unique<Shape>(
        Shape{ form, x->ne[1], 0, 0, 0, context, state != nullptr, frequency != nullptr, false }));
    return ggml_custom_4d(c, conv_input_type(form), x->ne[0], context + x->ne[1] + tail, 1, 1, args.data(),
                          (int) args.size(), compute_inputs, GGML_N_TASKS_MAX, shapes_.back().get());
}

void ConvNodes::compute_inputs(ggml_tensor * y, int part, int parts, void * data) {
    const auto &        shape = *static_cast<const Shape *>(data);
    const ggml_tensor * x     = y->src[0];
    const size_t        row   = (size_t) y->ne[0] * ggml_type_size(y->type);
    if (part == 0) {
        if (shape.has_state) {
            std::memcpy(y->data, y->src[1]->data, (size_t) shape.context * row);
        }
        const int64_t used = shape.context + shape.time;
        std::memset(static_cast<char *>(y->data) + (size_t) used * row, 0, (size_t) (y->ne[1] - used) * row);
    }
    SnakeJob snake{};
    if (shape.has_snake) {
        const int first = shape.has_state ? 2 : 1;
        snake.frequency = static_cast<const float *>(y->src[first]->data);
        snake.magnitude = static_cast<const float *>(y->src[first + 1]->data);
        snake.channels  = y->ne[0];
    }
    const Share      rows = share_of(shape.time, 1, part, parts);
    const SnakeJob * job  = shape.has_snake ? &snake : nullptr;
    if (shape.form == ConvForm::bf16) {
        fill_rows<uint16_t>(y, x, job, shape.context, rows);
    } else {
        fill_rows<float>(y, x, job, shape.context, rows);
    }
}

ggml_tensor * ConvNodes::convolve(ggml_context * c, ConvForm form, ggml_tensor * inputs, ggml_tensor * weight,
                                  ggml_tensor * bias, ggml_tensor * residual, int64_t time, int64_t out, int64_t taps,
                                  int64_t dilation) {
    std::vector<ggml_tensor *> args{ inputs, weight, bias };
    if (residual != nullptr) {
        args.push_back(residual);
    }
    shapes_.push_back(
        std::make_unique<Shape>(Shape{ form, time, out, taps, dilation, 0, false, false, residual != nullptr }));
    return ggml_custom_4d(c, GGML_TYPE_F32, out, time, 1, 1, args.data(), (int) args.size(), compute_convolution,
                          GGML_N_TASKS_MAX, shapes_.back().get());
}

void ConvNodes::compute_convolution(ggml_tensor * y, int part, int parts, void * data) {
    const auto & shape = *static_cast<const Shape *>(data);
    ConvJob      job{};
    job.x           = y->src[0]->data;
    job.weight      = y->src[1]->data;
    job.bias        = static_cast<const float *>(y->src[2]->data);
    job.residual    = shape.has_residual ? static_cast<const float *>(y->src[3]->data) : nullptr;
    job.y           = static_cast<float *>(y->data);
    job.rows        = shape.time;
    job.in          = y->src[0]->ne[0];
    job.out         = shape.out;
    job.taps        = shape.taps;
    job.bias_period = y->src[2]->ne[0];
    job.x_row       = job.in;
    job.x_tap       = shape.dilation * job.in;
    job.y_row       = job.out;
    job.panels      = panels_of(y->src[1]);
    if (shape.form == ConvForm::bf16) {
        conv_bf16(job, best_bf16(), part, parts);
    } else {
        conv_f32(job, best_simd(), part, parts);
    }
}

}  // namespace omni

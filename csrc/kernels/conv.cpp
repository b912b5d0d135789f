#include "kernels/conv.h"

#include <algorithm>

#include "kernels/bf16.h"
#include "kernels/share.h"

namespace omni {

int64_t packed_conv_size(int64_t in, int64_t out, int64_t taps) {
    return (out + k_conv_panel - 1) / k_conv_panel * k_conv_panel * taps * in;
}

ConvIndex packed_f32_index(int64_t i, int64_t in, int64_t taps) {
    const int64_t lane    = i % k_conv_panel;
    const int64_t channel = i / k_conv_panel % in;
    const int64_t tap     = i / (k_conv_panel * in) % taps;
    const int64_t panel   = i / (k_conv_panel * in * taps);
    return { panel * k_conv_panel + lane, tap, channel };
}

ConvIndex packed_bf16_index(int64_t i, int64_t in, int64_t taps) {
    const int64_t half  = i % 2;
    const int64_t lane  = i / 2 % k_conv_panel;
    const int64_t pair  = i / (2 * k_conv_panel) % (k_bf16_block / 2);
    const int64_t tile  = i / (k_bf16_block * k_conv_panel);
    const int64_t block = tile % (in / k_bf16_block);
    const int64_t tap   = tile / (in / k_bf16_block) % taps;
    const int64_t panel = tile / (in / k_bf16_block * taps);
    return { panel * k_conv_panel + lane, tap, block * k_bf16_block + 2 * pair + half };
}

namespace {

// Splits by rows where there are many, so that each part reads all weights once and its rows stay in its cache; else
// by panels.
ConvBlock block_of(const ConvJob & job, int64_t row_step, int64_t panel_step, int part, int parts) {
    const int64_t panels    = (job.out + k_conv_panel - 1) / k_conv_panel;
    const int64_t row_steps = (job.rows + row_step - 1) / row_step;
    if (row_steps >= 8 * parts) {
        const Share rows = share_of(job.rows, row_step, part, parts);
        return { rows.begin, rows.end, 0, panels };
    }
    const Share columns = share_of(panels, panel_step, part, parts);
    return { 0, job.rows, columns.begin, columns.end };
}

}  // namespace

void conv_f32(const ConvJob & job, Simd simd, int part, int parts) {
    switch (simd) {
        case Simd::avx512: conv_f32_avx512(job, block_of(job, 12, 2, part, parts)); break;
        case Simd::avx2: conv_f32_avx2(job, block_of(job, 6, 1, part, parts)); break;
        case Simd::generic: conv_f32_generic(job, block_of(job, 4, 1, part, parts)); break;
    }
}

void conv_bf16(const ConvJob & job, Bf16 kind, int part, int parts) {
    switch (kind) {
        case Bf16::amx: conv_bf16_amx(job, block_of(job, 32, 2, part, parts)); break;
        case Bf16::avx512: conv_bf16_avx512(job, block_of(job, 12, 2, part, parts)); break;
        case Bf16::none: break;
    }
}

namespace {

float float_of_f32(float value) {
    return value;
}

template <typename Value, float (*widened)(Value)> void columns(const ConvJob & job, const ConvBlock & block) {
    const auto *  x      = static_cast<const float *>(job.x);
    const auto *  weight = static_cast<const Value *>(job.weight);
    const int64_t depth  = job.taps * job.in;
    for (int64_t panel = block.panel_begin; panel < block.panel_end; ++panel) {
        const Value * w     = weight + panel * depth * k_conv_panel;
        const int64_t first = panel * k_conv_panel;
        const int64_t width = std::min(k_conv_panel, job.out - first);
        for (int64_t row = block.row_begin; row < block.row_end; ++row) {
            float sum[k_conv_panel] = {};
            for (int64_t tap = 0; tap < job.taps; ++tap) {
                const float * from = x + row * job.x_row + tap * job.x_tap;
                const Value * with = w + tap * job.in * k_conv_panel;
                for (int64_t c = 0; c < job.in; ++c) {
                    for (int64_t lane = 0; lane < k_conv_panel; ++lane) {
                        sum[lane] += from[c] * widened(with[c * k_conv_panel + lane]);
                    }
                }
            }
            for (int64_t lane = 0; lane < width; ++lane) {
                const int64_t o    = first + lane;
                const int64_t at   = row * job.y_row + o;
                const float   bias = job.bias != nullptr ? job.bias[o % job.bias_period] : 0.0f;
                job.y[at]          = sum[lane] + bias + (job.residual != nullptr ? job.residual[at] : 0.0f);
            }
        }
    }
}

}  // namespace

void conv_f32_generic(const ConvJob & job, const ConvBlock & block) {
    switch (job.panels) {
        case PanelType::f32: columns<float, float_of_f32>(job, block); break;
        case PanelType::f16: columns<uint16_t, float_of_f16>(job, block); break;
        case PanelType::bf16: columns<uint16_t, float_of_bf16>(job, block); break;
    }
}

#if !defined(__x86_64__)

void conv_f32_avx512(const ConvJob & job, const ConvBlock & block) {
    conv_f32_generic(job, block);
}

void conv_f32_avx2(const ConvJob & job, const ConvBlock & block) {
    conv_f32_generic(job, block);
}

void conv_bf16_avx512(const ConvJob & /*job*/, const ConvBlock & /*block*/) {}

void conv_bf16_amx(const ConvJob & /*job*/, const ConvBlock & /*block*/) {}

#endif

}  // namespace omni

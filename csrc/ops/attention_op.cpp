#include "ops/attention_op.h"

#include <algorithm>
#include <cmath>

#include "kernels/conv.h"
#include "kernels/panels.h"
#include "kernels/share.h"
#include "kernels/softmax.h"

namespace omni {

namespace {

constexpr int64_t k_queries = 12;  // at once

int64_t whole_panels(int64_t n) {
    return (n + k_conv_panel - 1) / k_conv_panel * k_conv_panel;
}

// Keys [n][dim] as panels [n / 16][dim][16].
void pack_keys(const float * k, int64_t n, int64_t dim, int64_t stride, float * packed) {
    for (int64_t first = 0; first < n; first += k_conv_panel) {
        const uint32_t * rows[k_conv_panel];
        for (int64_t r = 0; r < k_conv_panel; ++r) {
            // Columns of scores that are not there are not stored: any row will do.
            rows[r] = reinterpret_cast<const uint32_t *>(k + std::min(first + r, n - 1) * stride);
        }
        transpose_panel(rows, dim, reinterpret_cast<uint32_t *>(packed + first * dim), best_simd());
    }
}

// Values [n][dim] as panels [dim / 16][n][16].
void pack_values(const float * v, int64_t n, int64_t dim, int64_t stride, float * packed) {
    for (int64_t first = 0; first < dim; first += k_conv_panel) {
        const int64_t width = std::min(k_conv_panel, dim - first);
        for (int64_t row = 0; row < n; ++row, packed += k_conv_panel) {
            std::copy_n(v + row * stride + first, width, packed);
            std::fill(packed + width, packed + k_conv_panel, 0.0f);
        }
    }
}

// y [rows][out] = x [rows][in] times packed weights.
void multiply(const float * x, int64_t x_row, const float * packed, float * y, int64_t y_row, int64_t rows, int64_t in,
              int64_t out) {
    ConvJob job{};
    job.x           = x;
    job.weight      = packed;
    job.y           = y;
    job.rows        = rows;
    job.in          = in;
    job.out         = out;
    job.taps        = 1;
    job.bias_period = out;
    job.x_row       = x_row;
    job.y_row       = y_row;
    conv_f32(job, best_simd(), 0, 1);
}

}  // namespace

ggml_tensor * AttentionNodes::attention(ggml_context * context, ggml_tensor * q, ggml_tensor * k, ggml_tensor * v,
                                        int64_t heads, int64_t window) {
    const int64_t width = q->ne[0], rows = q->ne[1], dim = width / heads;
    window = std::min(window, rows);
    // Keys, values and scores of a head in a window.
    const int64_t scratch = (dim + k_queries) * whole_panels(window) + whole_panels(dim) * window;
    shapes_.push_back(std::make_unique<Shape>(Shape{ dim, heads, rows, window, scratch }));
    const Shape & shape  = *shapes_.back();
    const int64_t extra  = (shape.heads * shape.windows() * shape.scratch + width - 1) / width;
    ggml_tensor * args[] = { q, k, v };
    ggml_tensor * y      = ggml_custom_4d(context, GGML_TYPE_F32, width, rows + extra, 1, 1, args, 3, compute,
                                          GGML_N_TASKS_MAX, shapes_.back().get());
    return ggml_view_2d(context, y, width, rows, y->nb[1], 0);
}

void AttentionNodes::compute(ggml_tensor * y, int part, int parts, void * data) {
    const auto & shape = *static_cast<const Shape *>(data);
    const Share  jobs  = share_of(shape.heads * shape.windows(), 1, part, parts);
    auto *       room  = static_cast<float *>(y->data) + shape.heads * shape.dim * shape.rows;
    for (int64_t job = jobs.begin; job < jobs.end; ++job) {
        attend(y, shape, job % shape.heads, job / shape.heads * shape.window, room + job * shape.scratch);
    }
}

void AttentionNodes::attend(ggml_tensor * y, const Shape & shape, int64_t head, int64_t first, float * scratch) {
    const int64_t n = std::min(shape.window, shape.rows - first), dim = shape.dim, width = shape.heads * dim;
    const int64_t at     = first * width + head * dim;
    float *       keys   = scratch;
    float *       values = keys + dim * whole_panels(n);
    float *       scores = values + whole_panels(dim) * n;
    pack_keys(static_cast<const float *>(y->src[1]->data) + at, n, dim, width, keys);
    pack_values(static_cast<const float *>(y->src[2]->data) + at, n, dim, width, values);
    const float scale = 1.0f / std::sqrt((float) dim);
    for (int64_t row = 0; row < n; row += k_queries) {
        const int64_t rows = std::min(k_queries, n - row);
        multiply(static_cast<const float *>(y->src[0]->data) + at + row * width, width, keys, scores, n, rows, dim, n);
        for (int64_t i = 0; i < rows; ++i) {
            softmax(scores + i * n, n, scale, best_simd());
        }
        multiply(scores, n, values, static_cast<float *>(y->data) + at + row * width, width, rows, n, dim);
    }
}

}  // namespace omni

#include "ops/attention_op.h"

#include <algorithm>
#include <cmath>

#include "kernels/bf16.h"
#include "kernels/conv.h"
#include "kernels/panels.h"
#include "kernels/share.h"
#include "kernels/softmax.h"
#include "ops/values.h"

namespace omni {

namespace {

constexpr int64_t k_queries = 24;  // at once
constexpr int64_t k_line    = 64;  // bytes of a line of cache

int64_t whole(int64_t n, int64_t of) {
    return (n + of - 1) / of * of;
}

// What products of a type ask of their inputs.
template <typename T> struct Inputs;

template <> struct Inputs<float> {
    static constexpr int64_t block = 1, tail = 0;
};

template <> struct Inputs<uint16_t> {
    static constexpr int64_t block = k_bf16_block, tail = k_bf16_tail;
};

// What a head needs in a window of n rows, one after the other: panels of keys and values, the rows that are multiplied
// by them, a panel's rows before they are packed, and scores.
template <typename T> class Room {
  public:
    Room(int64_t n, int64_t dim) :
        n_in(whole(n, Inputs<T>::block)),
        dim_in(whole(dim, Inputs<T>::block)),
        keys_(take<T>(dim_in * whole(n, k_conv_panel))),
        values_(take<T>(n_in * whole(dim, k_conv_panel))),
        queries_(take<T>(dim_in * k_rows)),
        shares_(take<T>(n_in * k_rows)),
        rows_(take<T>(dim_in * k_conv_panel)),
        scores_(take<float>(n * k_queries)) {}

    static constexpr int64_t k_rows = k_queries + Inputs<T>::tail;

    const int64_t n_in, dim_in;  // with what fills up a block

    // Bytes.
    size_t size() const { return size_; }

    void lies_in(char * memory) { memory_ = memory; }

    T * keys() const { return at<T>(keys_); }

    T * values() const { return at<T>(values_); }

    T * queries() const { return at<T>(queries_); }

    T * shares() const { return at<T>(shares_); }

    T * rows() const { return at<T>(rows_); }

    float * scores() const { return at<float>(scores_); }

  private:
    template <typename Value> size_t take(int64_t n) {
        const size_t taken = size_;
        size_ += (size_t) whole(n * (int64_t) sizeof(Value), k_line);
        return taken;
    }

    template <typename Value> Value * at(size_t offset) const { return reinterpret_cast<Value *>(memory_ + offset); }

    size_t size_   = 0;
    char * memory_ = nullptr;
    size_t keys_, values_, queries_, shares_, rows_, scores_;
};

// n values, and zeros up to `in`.
template <typename T> void filled(const float * x, int64_t n, int64_t in, T * y) {
    values_as(x, y, n);
    std::fill(y + n, y + in, T{});
}

// Keys [n][dim] as panels of 16 keys.
template <typename T> void pack_keys(const float * k, int64_t n, int64_t dim, int64_t stride, const Room<T> & room) {
    const int64_t    words = room.dim_in * (int64_t) sizeof(T) / (int64_t) sizeof(uint32_t);
    const uint32_t * rows[k_conv_panel];
    for (int64_t r = 0; r < k_conv_panel; ++r) {
        rows[r] = reinterpret_cast<const uint32_t *>(room.rows() + r * room.dim_in);
    }
    for (int64_t first = 0; first < n; first += k_conv_panel) {
        for (int64_t r = 0; r < k_conv_panel; ++r) {
            // Columns of scores that are not there are not stored: any row will do.
            filled(k + std::min(first + r, n - 1) * stride, dim, room.dim_in, room.rows() + r * room.dim_in);
        }
        transpose_panel(rows, words, reinterpret_cast<uint32_t *>(room.keys() + first * room.dim_in), best_simd());
    }
}

// Values [n][dim] as panels of 16 channels: rows in words of 32 bits, side by side.
template <typename T> void pack_values(const float * v, int64_t n, int64_t dim, int64_t stride, const Room<T> & room) {
    constexpr int64_t in_word = (int64_t) (sizeof(uint32_t) / sizeof(T));
    T *               packed  = room.values();
    for (int64_t first = 0; first < dim; first += k_conv_panel) {
        const int64_t width = std::min(k_conv_panel, dim - first);
        std::fill_n(packed, room.n_in * k_conv_panel, T{});
        for (int64_t row = 0; row < n; ++row) {
            T values[k_conv_panel];
            values_as(v + row * stride + first, values, width);
            T * to = packed + row / in_word * in_word * k_conv_panel + row % in_word;
            for (int64_t channel = 0; channel < width; ++channel) {
                to[channel * in_word] = values[channel];
            }
        }
        packed += room.n_in * k_conv_panel;
    }
}

void run(const ConvJob & job, const float * /*type*/) {
    conv_f32(job, best_simd(), 0, 1);
}

void run(const ConvJob & job, const uint16_t * /*type*/) {
    conv_bf16(job, best_bf16(), 0, 1);
}

// y [rows][out] = x [rows][in] times packed weights.
template <typename T>
void multiply(const T * x, const T * packed, float * y, int64_t y_row, int64_t rows, int64_t in, int64_t out) {
    ConvJob job{};
    job.x           = x;
    job.weight      = packed;
    job.y           = y;
    job.rows        = rows;
    job.in          = in;
    job.out         = out;
    job.taps        = 1;
    job.bias_period = out;
    job.x_row       = in;
    job.y_row       = y_row;
    run(job, static_cast<const T *>(nullptr));
}

}  // namespace

ggml_tensor * AttentionNodes::attention(ggml_context * context, ConvForm form, ggml_tensor * q, ggml_tensor * k,
                                        ggml_tensor * v, int64_t heads, int64_t window) {
    const int64_t width = q->ne[0], rows = q->ne[1], dim = width / heads;
    const bool    bf16 = form == ConvForm::bf16;
    window             = std::min(window, rows);
    const size_t room  = bf16 ? Room<uint16_t>(window, dim).size() : Room<float>(window, dim).size();
    shapes_.push_back(std::make_unique<Shape>(Shape{ dim, heads, rows, window, room }));
    const Shape & shape = *shapes_.back();
    const auto    extra =
        (int64_t) (((size_t) (shape.heads * shape.windows()) * room + k_line) / ((size_t) width * sizeof(float)) + 1);
    ggml_tensor * args[] = { q, k, v };
    ggml_tensor * y = ggml_custom_4d(context, GGML_TYPE_F32, width, rows + extra, 1, 1, args, 3,
                                     bf16 ? compute<uint16_t> : compute<float>, GGML_N_TASKS_MAX, shapes_.back().get());
    return ggml_view_2d(context, y, width, rows, y->nb[1], 0);
}

template <typename T> void AttentionNodes::compute(ggml_tensor * y, int part, int parts, void * data) {
    const auto & shape = *static_cast<const Shape *>(data);
    const Share  jobs  = share_of(shape.heads * shape.windows(), 1, part, parts);
    auto rooms = reinterpret_cast<uintptr_t>(static_cast<float *>(y->data) + shape.heads * shape.dim * shape.rows);
    rooms      = (rooms + k_line - 1) / k_line * k_line;
    for (int64_t job = jobs.begin; job < jobs.end; ++job) {
        attend<T>(y, shape, job % shape.heads, job / shape.heads * shape.window,
                  reinterpret_cast<char *>(rooms) + (size_t) job * shape.room);
    }
}

template <typename T>
void AttentionNodes::attend(ggml_tensor * y, const Shape & shape, int64_t head, int64_t first, char * memory) {
    const int64_t n = std::min(shape.window, shape.rows - first), dim = shape.dim, width = shape.heads * dim;
    const int64_t at = first * width + head * dim;
    Room<T>       room(n, dim);
    room.lies_in(memory);
    pack_keys(static_cast<const float *>(y->src[1]->data) + at, n, dim, width, room);
    pack_values(static_cast<const float *>(y->src[2]->data) + at, n, dim, width, room);
    // Rows behind the last are read by products of bfloat16, and have to be finite.
    std::fill_n(room.queries(), room.dim_in * Room<T>::k_rows, T{});
    std::fill_n(room.shares(), room.n_in * Room<T>::k_rows, T{});
    const float scale = 1.0f / std::sqrt((float) dim);
    for (int64_t row = 0; row < n; row += k_queries) {
        const int64_t rows = std::min(k_queries, n - row);
        const auto *  q    = static_cast<const float *>(y->src[0]->data) + at + row * width;
        for (int64_t i = 0; i < rows; ++i) {
            values_as(q + i * width, room.queries() + i * room.dim_in, dim);
        }
        multiply(room.queries(), room.keys(), room.scores(), n, rows, room.dim_in, n);
        for (int64_t i = 0; i < rows; ++i) {
            softmax(room.scores() + i * n, n, scale, best_simd());
            values_as(room.scores() + i * n, room.shares() + i * room.n_in, n);
        }
        multiply(room.shares(), room.values(), static_cast<float *>(y->data) + at + row * width, width, rows, room.n_in,
                 dim);
    }
}

}  // namespace omni

#include "ops/product_op.h"

#include <algorithm>
#include <array>

#include "kernels/q8_product.h"
#include "kernels/share.h"

namespace omni {

namespace {

const char * column_of(const ggml_tensor * quantized, int64_t index) {
    return static_cast<const char *>(quantized->data) + (size_t) index * quantized->nb[1];
}

// Columns waiting for the same weights.
struct Pending {
    std::array<const char *, k_q8_columns> x;
    std::array<float *, k_q8_columns>      y;
    int                                    count = 0;

    void add(const Q8Job & job, const char * column, float * to) {
        x[(size_t) count] = column;
        y[(size_t) count] = to;
        if (++count == k_q8_columns) {
            flush(job);
        }
    }

    void flush(const Q8Job & job) {
        if (count > 0) {
            q8_multiply(job, x.data(), y.data(), count);
            count = 0;
        }
    }
};

constexpr int64_t k_row_step = 8;
// Rows of weights that stay in the first cache while all columns pass over them.
constexpr int64_t k_row_group = 16;

void compute_quantized(ggml_tensor * y, int part, int parts, void * /*unused*/) {
    const ggml_tensor * x       = y->src[0];
    const Share         columns = share_of(ggml_nrows(x), 1, part, parts);
    for (int64_t i = columns.begin; i < columns.end; ++i) {
        q8_quantize(static_cast<const float *>(x->data) + i * x->ne[0], x->ne[0],
                    static_cast<char *>(y->data) + (size_t) i * y->nb[1]);
    }
}

void compute_product(ggml_tensor * y, int part, int parts, void * /*unused*/) {
    const ggml_tensor * weight  = y->src[0];
    const ggml_tensor * x       = y->src[1];
    const Share         rows    = share_of(weight->ne[1], k_row_step, part, parts);
    const int64_t       columns = x->ne[1];
    auto *              out     = static_cast<float *>(y->data);
    for (int64_t row = rows.begin; row < rows.end; row += k_row_group) {
        const Q8Job job{ static_cast<const char *>(weight->data), weight->ne[0], row,
                         std::min(row + k_row_group, rows.end) };
        Pending     pending;
        for (int64_t i = 0; i < columns; ++i) {
            pending.add(job, column_of(x, i), out + i * y->ne[0]);
        }
        pending.flush(job);
    }
}

void compute_product_by_expert(ggml_tensor * y, int part, int parts, void * /*unused*/) {
    const ggml_tensor * weight   = y->src[0];
    const ggml_tensor * x        = y->src[1];
    const ggml_tensor * ids      = y->src[2];
    const int64_t       used     = ids->ne[0];
    const int64_t       per_slot = x->ne[1] == ggml_nelements(ids) ? 1 : used;  // outputs that read one column
    const Share         rows     = share_of(weight->ne[1], k_row_step, part, parts);
    auto *              out      = static_cast<float *>(y->data);
    for (int64_t e = 0; e < weight->ne[2]; ++e) {
        const Q8Job job{ static_cast<const char *>(weight->data) + (size_t) e * weight->nb[2], weight->ne[0],
                         rows.begin, rows.end };
        Pending     pending;
        for (int64_t token = 0; token < ids->ne[1]; ++token) {
            const auto * chosen =
                reinterpret_cast<const int32_t *>(static_cast<const char *>(ids->data) + (size_t) token * ids->nb[1]);
            for (int64_t i = token * used; i < (token + 1) * used; ++i) {
                if (chosen[i - token * used] == e) {
                    pending.add(job, column_of(x, i / per_slot), out + i * y->ne[0]);
                }
            }
        }
        pending.flush(job);
    }
}

}  // namespace

bool ProductNodes::takes(const ggml_tensor * weight, const ggml_tensor * x) const {
    return on_cpu_ && weight->type == GGML_TYPE_Q8_0 && x->type == GGML_TYPE_F32 && ggml_is_contiguous(x) &&
           ggml_is_contiguous(weight) && has_q8_product();
}

// I8 [bytes of a column, columns].
ggml_tensor * ProductNodes::quantized(ggml_context * context, ggml_tensor * x) {
    ggml_tensor *& known = quantized_[x];
    if (known == nullptr) {
        known = ggml_custom_4d(context, GGML_TYPE_I8, q8_column_bytes(x->ne[0]), ggml_nrows(x), 1, 1, &x, 1,
                               compute_quantized, GGML_N_TASKS_MAX, nullptr);
    }
    return known;
}

ggml_tensor * ProductNodes::product(ggml_context * context, ggml_tensor * weight, ggml_tensor * x) {
    if (!takes(weight, x)) {
        return ggml_mul_mat(context, weight, x);
    }
    ggml_tensor * args[] = { weight, quantized(context, x) };
    return ggml_custom_4d(context, GGML_TYPE_F32, weight->ne[1], x->ne[1], x->ne[2], x->ne[3], args, 2, compute_product,
                          GGML_N_TASKS_MAX, nullptr);
}

ggml_tensor * ProductNodes::product_by_expert(ggml_context * context, ggml_tensor * weight, ggml_tensor * x,
                                              ggml_tensor * experts) {
    if (!takes(weight, x)) {
        return ggml_mul_mat_id(context, weight, x, experts);
    }
    ggml_tensor * args[] = { weight, quantized(context, x), experts };
    return ggml_custom_4d(context, GGML_TYPE_F32, weight->ne[1], experts->ne[0], experts->ne[1], 1, args, 3,
                          compute_product_by_expert, GGML_N_TASKS_MAX, nullptr);
}

}  // namespace omni

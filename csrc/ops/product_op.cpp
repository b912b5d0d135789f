#include "ops/product_op.h"

#include <algorithm>
#include <vector>

#include "kernels/share.h"
#include "ops/expert_shares.h"

namespace omni {

namespace {

const char * column_of(const ggml_tensor * quantized, int64_t index) {
    return static_cast<const char *>(quantized->data) + (size_t) index * quantized->nb[1];
}

// Columns that the same weights are for, and where their products go.
struct Columns {
    std::vector<const char *> x;
    std::vector<float *>      y;

    void add(const char * column, float * to) {
        x.push_back(column);
        y.push_back(to);
    }
};

void multiply_all(BlockProduct job, const Columns & columns, Share rows) {
    job.row_begin = rows.begin;
    job.row_end   = rows.end;
    multiply(job, columns.x.data(), columns.y.data(), (int) columns.x.size());
}

void compute_quantized(ggml_tensor * y, int part, int parts, void * /*unused*/) {
    const ggml_tensor * x       = y->src[0];
    const Share         columns = share_of(ggml_nrows(x), 1, part, parts);
    for (int64_t i = columns.begin; i < columns.end; ++i) {
        quantize_column(static_cast<const float *>(x->data) + i * x->ne[0], x->ne[0],
                        static_cast<char *>(y->data) + (size_t) i * y->nb[1]);
    }
}

void compute_product(ggml_tensor * y, int part, int parts, void * /*unused*/) {
    const ggml_tensor * weight = y->src[0];
    const ggml_tensor * x      = y->src[1];
    auto *              out    = static_cast<float *>(y->data);
    Columns             columns;
    for (int64_t i = 0; i < x->ne[1]; ++i) {
        columns.add(column_of(x, i), out + i * y->ne[0]);
    }
    const auto * from = static_cast<const char *>(weight->data);
    multiply_all({ *format_of(weight->type), from, weight->ne[0], 0, 0 }, columns,
                 share_of(weight->ne[1], k_block_rows, part, parts));
}

// An expert, and the output that it is asked for.
struct Asked {
    int32_t expert;
    int64_t output;
};

// In the order of the experts.
std::vector<Asked> all_asked(const ggml_tensor * ids) {
    std::vector<Asked> asked;
    for (int64_t token = 0; token < ids->ne[1]; ++token) {
        const auto * chosen =
            reinterpret_cast<const int32_t *>(static_cast<const char *>(ids->data) + (size_t) token * ids->nb[1]);
        for (int64_t i = 0; i < ids->ne[0]; ++i) {
            asked.push_back({ chosen[i], token * ids->ne[0] + i });
        }
    }
    std::stable_sort(asked.begin(), asked.end(), [](const Asked & a, const Asked & b) { return a.expert < b.expert; });
    return asked;
}

void compute_product_by_expert(ggml_tensor * y, int part, int parts, void * /*unused*/) {
    const ggml_tensor *      weight   = y->src[0];
    const ggml_tensor *      x        = y->src[1];
    const ggml_tensor *      ids      = y->src[2];
    const int64_t            per_slot = x->ne[1] == ggml_nelements(ids) ? 1 : ids->ne[0];  // outputs of one column
    auto *                   out      = static_cast<float *>(y->data);
    const std::vector<Asked> asked    = all_asked(ids);
    const auto               differs  = [](const Asked & a, const Asked & b) { return a.expert != b.expert; };
    const auto               n        = (int64_t) asked.size();
    int64_t                  experts  = asked.empty() ? 0 : 1;
    for (int64_t i = 1; i < n; ++i) {
        experts += differs(asked[(size_t) i - 1], asked[(size_t) i]) ? 1 : 0;
    }
    ExpertShares shares(weight->ne[1], experts, n, part, parts);
    for (auto first = asked.begin(); first != asked.end();) {
        auto    last = std::find_if(first, asked.end(), [&](const Asked & other) { return differs(*first, other); });
        Columns columns;
        for (auto one = first; one != last; ++one) {
            columns.add(column_of(x, one->output / per_slot), out + one->output * y->ne[0]);
        }
        const auto * from = static_cast<const char *>(weight->data) + (size_t) first->expert * weight->nb[2];
        multiply_all({ *format_of(weight->type), from, weight->ne[0], 0, 0 }, columns, shares.next(last - first));
        first = last;
    }
}

}  // namespace

std::optional<BlockFormat> format_of(ggml_type type) {
    switch (type) {
        case GGML_TYPE_Q8_0: return BlockFormat::q8_0;
        case GGML_TYPE_Q4_0: return BlockFormat::q4_0;
        case GGML_TYPE_IQ4_NL: return BlockFormat::iq4_nl;
        case GGML_TYPE_Q4_K: return BlockFormat::q4_k;
        case GGML_TYPE_Q5_K: return BlockFormat::q5_k;
        case GGML_TYPE_Q6_K: return BlockFormat::q6_k;
        case GGML_TYPE_IQ4_XS: return BlockFormat::iq4_xs;
        default: return {};
    }
}

bool ProductNodes::takes(const ggml_tensor * weight, const ggml_tensor * x) const {
    return on_cpu_ && format_of(weight->type).has_value() && x->type == GGML_TYPE_F32 && ggml_is_contiguous(x) &&
           ggml_is_contiguous(weight) && has_block_product();
}

// I8 [bytes of a column, columns].
ggml_tensor * ProductNodes::quantized(ggml_context * context, ggml_tensor * x) {
    ggml_tensor *& known = quantized_[x];
    if (known == nullptr) {
        known = ggml_custom_4d(context, GGML_TYPE_I8, block_column_bytes(x->ne[0]), ggml_nrows(x), 1, 1, &x, 1,
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

#include "core/quantize.h"

#include <cstring>

#include "error/error.h"

namespace omni {

namespace {

// Q8_1 and Q8_K are for activations only; ggml has no quantizer of weights for them.
bool can_hold_weights(ggml_type type) {
    const bool plain = type == GGML_TYPE_F32 || type == GGML_TYPE_F16 || type == GGML_TYPE_BF16;
    return plain || (ggml_is_quantized(type) && type != GGML_TYPE_Q8_1 && type != GGML_TYPE_Q8_K);
}

}  // namespace

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

Block block_of(const std::string & name) {
    const ggml_type type = type_named(name);
    return { ggml_blck_size(type), ggml_type_size(type) };
}

std::string quantize_rows(const float * rows, int64_t n, int64_t width, const std::string & name,
                          const std::vector<float> * importance) {
    const ggml_type type = type_named(name);
    if (width % ggml_blck_size(type) != 0) {
        throw Error(ErrorKind::input, "rows to quantize must be two-dimensional and whole blocks of " + name);
    }
    if (!can_hold_weights(type)) {
        throw Error(ErrorKind::input, "the type " + name + " can't hold weights");
    }
    if (importance != nullptr && (int64_t) importance->size() != width) {
        throw Error(ErrorKind::input, "importance must have one value for each column");
    }
    if (ggml_quantize_requires_imatrix(type) && importance == nullptr) {
        throw Error(ErrorKind::input, "the type " + name + " can't be made without an importance matrix");
    }
    std::string out(ggml_row_size(type, width) * (size_t) n, '\0');
    ggml_quantize_chunk(type, rows, &out[0], 0, n, width, importance != nullptr ? importance->data() : nullptr);
    return out;
}

std::vector<float> dequantize(const std::string & bytes, const std::string & name) {
    const ggml_type type   = type_named(name);
    const auto *    traits = ggml_get_type_traits(type);
    if ((type != GGML_TYPE_F32 && traits->to_float == nullptr) || bytes.size() % ggml_type_size(type) != 0) {
        throw Error(ErrorKind::input, "these bytes are no whole blocks of " + name);
    }
    const auto         n = (int64_t) (bytes.size() / ggml_type_size(type)) * ggml_blck_size(type);
    std::vector<float> values((size_t) n);
    if (n > 0 && type == GGML_TYPE_F32) {
        std::memcpy(values.data(), bytes.data(), bytes.size());
    } else if (n > 0) {
        traits->to_float(bytes.data(), values.data(), n);
    }
    return values;
}

}  // namespace omni

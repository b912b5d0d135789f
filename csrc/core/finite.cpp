#include "core/finite.h"

#include <cstdint>
#include <cstring>

namespace omni {

namespace {

constexpr uint16_t k_f16_exponent = 0x7c00;

// Values may lie at any address. No branch inside, so that the compiler can take many at once.
template <typename Bits> bool finite_values(const char * bytes, size_t n, Bits exponent) {
    Bits found = 0;
    for (size_t i = 0; i < n; ++i) {
        Bits value;
        std::memcpy(&value, bytes + i * sizeof(Bits), sizeof(Bits));
        found |= (Bits) ((value & exponent) == exponent ? 1 : 0);
    }
    return found == 0;
}

// Float16 numbers, `stride` bytes apart.
bool finite_scales(const char * bytes, size_t n, size_t stride) {
    unsigned found = 0;
    for (size_t i = 0; i < n; ++i) {
        uint16_t value;
        std::memcpy(&value, bytes + i * stride, sizeof(value));
        found |= (value & k_f16_exponent) == k_f16_exponent ? 1u : 0u;
    }
    return found == 0;
}

// Where a block of a quantized type holds its float16 scales; none for types whose scales are no float16.
struct ScaleOffsets {
    size_t count     = 0;
    size_t offset[2] = {};
};

ScaleOffsets scale_offsets(ggml_type type) {
    const size_t last = ggml_type_size(type) - sizeof(uint16_t);
    switch (type) {
        case GGML_TYPE_Q4_0:
        case GGML_TYPE_Q5_0:
        case GGML_TYPE_Q8_0:
        case GGML_TYPE_IQ4_NL:
        case GGML_TYPE_IQ4_XS: return { 1, { 0 } };
        case GGML_TYPE_Q4_1:
        case GGML_TYPE_Q5_1:
        case GGML_TYPE_Q4_K:
        case GGML_TYPE_Q5_K: return { 2, { 0, sizeof(uint16_t) } };
        case GGML_TYPE_Q3_K:
        case GGML_TYPE_Q6_K: return { 1, { last } };
        case GGML_TYPE_Q2_K: return { 2, { last - sizeof(uint16_t), last } };
        default: return {};
    }
}

}  // namespace

bool all_finite(ggml_type type, const char * bytes, size_t size) {
    switch (type) {
        case GGML_TYPE_F32: return finite_values<uint32_t>(bytes, size / 4, 0x7f800000);
        case GGML_TYPE_F16: return finite_values<uint16_t>(bytes, size / 2, k_f16_exponent);
        case GGML_TYPE_BF16: return finite_values<uint16_t>(bytes, size / 2, 0x7f80);
        default: break;
    }
    const ScaleOffsets scales = scale_offsets(type);
    const size_t       stride = ggml_type_size(type);
    for (size_t i = 0; i < scales.count; ++i) {
        if (!finite_scales(bytes + scales.offset[i], size / stride, stride)) {
            return false;
        }
    }
    // ggml's own check knows every type, but reports to stderr beside our error: it is asked about the rare ones only.
    return scales.count > 0 || ggml_validate_row_data(type, bytes, size);
}

bool all_finite(const float * values, size_t n) {
    return all_finite(GGML_TYPE_F32, reinterpret_cast<const char *>(values), n * sizeof(float));
}

}  // namespace omni

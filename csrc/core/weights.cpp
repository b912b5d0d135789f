#include "core/weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"

namespace omni {

namespace {

constexpr size_t k_longest_stored_name = 63;
constexpr size_t k_chunk_bytes         = 8 << 20;

std::string shape_text(const int64_t * ne, int n_dims) {
    // Users know shapes in the order of PyTorch: slowest axis first.
    std::string text = "[";
    for (int d = n_dims - 1; d >= 0; --d) {
        text += std::to_string(ne[d]) + (d > 0 ? ", " : "]");
    }
    return text;
}

bool readable(ggml_type type) {
    if (type == GGML_TYPE_F32 || type == GGML_TYPE_F16 || type == GGML_TYPE_BF16) {
        return true;
    }
    return ggml_is_quantized(type) && ggml_get_type_traits(type)->to_float != nullptr;
}

template <typename Bits> bool all_finite(const char * bytes, size_t n, Bits exponent) {
    const auto * values = reinterpret_cast<const Bits *>(bytes);
    return std::all_of(values, values + n, [exponent](Bits value) { return (value & exponent) != exponent; });
}

// Where a block of a quantized type holds its float16 scales; empty for types whose scales are no float16.
std::vector<size_t> scale_offsets(ggml_type type) {
    const size_t last = ggml_type_size(type) - sizeof(uint16_t);
    switch (type) {
        case GGML_TYPE_Q4_0:
        case GGML_TYPE_Q5_0:
        case GGML_TYPE_Q8_0:
        case GGML_TYPE_IQ4_NL:
        case GGML_TYPE_IQ4_XS: return { 0 };
        case GGML_TYPE_Q4_1:
        case GGML_TYPE_Q5_1:
        case GGML_TYPE_Q4_K:
        case GGML_TYPE_Q5_K: return { 0, sizeof(uint16_t) };
        case GGML_TYPE_Q3_K:
        case GGML_TYPE_Q6_K: return { last };
        case GGML_TYPE_Q2_K: return { last - sizeof(uint16_t), last };
        default: return {};
    }
}

// ggml's own check knows every type, but reports to stderr beside our error: it is asked about the rare ones only.
bool finite(ggml_type type, const std::vector<char> & bytes) {
    switch (type) {
        case GGML_TYPE_F32: return all_finite<uint32_t>(bytes.data(), bytes.size() / 4, 0x7f800000);
        case GGML_TYPE_F16: return all_finite<uint16_t>(bytes.data(), bytes.size() / 2, 0x7c00);
        case GGML_TYPE_BF16: return all_finite<uint16_t>(bytes.data(), bytes.size() / 2, 0x7f80);
        default: break;
    }
    const auto offsets = scale_offsets(type);
    for (size_t block = 0; block < bytes.size() && !offsets.empty(); block += ggml_type_size(type)) {
        for (const size_t offset : offsets) {
            if (!all_finite<uint16_t>(bytes.data() + block + offset, 1, 0x7c00)) {
                return false;
            }
        }
    }
    return !offsets.empty() || ggml_validate_row_data(type, bytes.data(), bytes.size());
}

std::vector<char> to_f32(const GgufTensor & from, const std::vector<char> & bytes) {
    const int64_t     n = from.ne[0] * from.ne[1] * from.ne[2] * from.ne[3];
    std::vector<char> out((size_t) n * sizeof(float));
    if (from.type == GGML_TYPE_F32) {
        std::memcpy(out.data(), bytes.data(), out.size());
    } else {
        ggml_get_type_traits(from.type)->to_float(bytes.data(), reinterpret_cast<float *>(out.data()), n);
    }
    return out;
}

// Element i is element source(i) of `values`, zero where that is negative.
std::vector<float> moved(const std::vector<char> & bytes, size_t n, const std::function<int64_t(int64_t)> & source) {
    std::vector<float> out(n);
    const auto *       values = reinterpret_cast<const float *>(bytes.data());
    for (size_t i = 0; i < n; ++i) {
        const int64_t from = source((int64_t) i);
        out[i]             = from < 0 ? 0.0f : values[from];
    }
    return out;
}

std::vector<char> from_f32(const std::vector<float> & values, ggml_type type) {
    std::vector<char> out(values.size() * ggml_type_size(type));
    const auto        n = (int64_t) values.size();
    if (type == GGML_TYPE_F16) {
        ggml_fp32_to_fp16_row(values.data(), reinterpret_cast<ggml_fp16_t *>(out.data()), n);
    } else if (type == GGML_TYPE_BF16) {
        ggml_fp32_to_bf16_row(values.data(), reinterpret_cast<ggml_bf16_t *>(out.data()), n);
    } else {
        std::memcpy(out.data(), values.data(), out.size());
    }
    return out;
}

}  // namespace

std::string stored_name(const std::string & name) {
    const std::string suffix = ".weight";
    if (name.size() > k_longest_stored_name && name.size() > suffix.size() &&
        name.compare(name.size() - suffix.size(), suffix.size(), suffix) == 0) {
        return name.substr(0, name.size() - suffix.size());
    }
    return name;
}

Weights::Weights(std::shared_ptr<const GgufFile> file, ggml_backend_buffer_type_t type) :
    file_(std::move(file)),
    type_(type),
    store_(file_->tensors().size() + 1, "the weights of " + file_->path()) {}

const GgufTensor & Weights::require(const std::string & full_name, const std::vector<int64_t> & ne) {
    const std::string      name  = stored_name(full_name);
    const GgufTensor *     found = file_->find_tensor(name);
    std::array<int64_t, 4> expected{ 1, 1, 1, 1 };
    std::copy(ne.begin(), ne.end(), expected.begin());
    if (found == nullptr) {
        file_->fail("lacks tensor " + name + " (expected " + shape_text(expected.data(), (int) ne.size()) +
                    "); convert the model again");
    }
    if (found->ne != expected) {
        file_->fail("has tensor " + name + " of shape " + shape_text(found->ne.data(), found->n_dims) + " where " +
                    shape_text(expected.data(), (int) ne.size()) +
                    " follows from its metadata; convert the model again");
    }
    if (!readable(found->type)) {
        file_->fail("has tensor " + name + " of type " + ggml_type_name(found->type) +
                    ", which can't hold weights; use F32, F16, BF16 or a quantized type");
    }
    if (!declared_.insert(name).second) {
        throw Error(ErrorKind::internal, "tensor " + name + " was declared twice");
    }
    return *found;
}

ggml_tensor * Weights::declare(const GgufTensor & from, ggml_type type, const std::vector<int64_t> & ne,
                               Convert convert) {
    if (ne[0] % ggml_blck_size(type) != 0) {
        file_->fail("has tensor " + from.name + " in " + ggml_type_name(type) +
                    ", whose blocks do not divide rows of " + std::to_string(ne[0]));
    }
    ggml_tensor * tensor = ggml_new_tensor(store_.context(), type, (int) ne.size(), ne.data());
    ggml_set_name(tensor, from.name.c_str());
    entries_.push_back({ tensor, &from, std::move(convert) });
    return tensor;
}

ggml_tensor * Weights::matrix(const std::string & name, std::vector<int64_t> ne) {
    const GgufTensor & from = require(name, ne);
    return declare(from, from.type, ne, {});
}

ggml_tensor * Weights::wide_matrix(const std::string & name, std::vector<int64_t> ne) {
    const GgufTensor & from = require(name, ne);
    if (from.type != GGML_TYPE_F16) {
        return declare(from, from.type, ne, {});
    }
    return declare(from, GGML_TYPE_F32, ne, to_f32);
}

ggml_tensor * Weights::f32(const std::string & name, std::vector<int64_t> ne) {
    const GgufTensor & from = require(name, ne);
    return declare(from, GGML_TYPE_F32, ne, from.type == GGML_TYPE_F32 ? Convert{} : Convert{ to_f32 });
}

ggml_tensor * Weights::f32_changed(const std::string & name, std::vector<int64_t> ne,
                                   std::function<float(float)> change) {
    const GgufTensor & from = require(name, ne);
    return declare(from, GGML_TYPE_F32, ne, [change](const GgufTensor & source, std::vector<char> bytes) {
        std::vector<char> out    = to_f32(source, bytes);
        auto *            values = reinterpret_cast<float *>(out.data());
        std::transform(values, values + out.size() / sizeof(float), values, change);
        return out;
    });
}

ggml_tensor * Weights::rearranged(const std::string & name, std::vector<int64_t> stored, ggml_type type,
                                  std::vector<int64_t> ne, std::function<int64_t(int64_t)> source) {
    const GgufTensor & from = require(name, stored);
    size_t             n    = 1;
    for (int64_t extent : ne) {
        n *= (size_t) extent;
    }
    return declare(from, type, ne, [source, type, n](const GgufTensor & tensor, std::vector<char> bytes) {
        return from_f32(moved(to_f32(tensor, bytes), n, source), type);
    });
}

ggml_type Weights::stored_type(const std::string & name) const {
    const GgufTensor * tensor = file_->find_tensor(stored_name(name));
    if (tensor == nullptr) {
        file_->fail("lacks tensor " + stored_name(name) + "; convert the model again");
    }
    return tensor->type;
}

void Weights::refuse_unknown_tensors() const {
    size_t      n_unknown = 0;
    std::string first;
    for (const auto & tensor : file_->tensors()) {
        if (declared_.count(tensor.name) == 0 && n_unknown++ == 0) {
            first = tensor.name;
        }
    }
    if (n_unknown > 0) {
        file_->fail("holds " + std::to_string(n_unknown) +
                    " tensor(s) that its metadata leave no place for, the first " + first +
                    "; convert the model again");
    }
}

void Weights::check() const {
    refuse_unknown_tensors();
}

void Weights::load() {
    refuse_unknown_tensors();
    store_.allocate(type_, GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    for (const auto & entry : entries_) {
        load_entry(entry);
    }
}

void Weights::load_entry(const Entry & entry) const {
    const GgufTensor & from  = *entry.from;
    size_t             chunk = from.nbytes;
    if (!entry.convert) {
        const size_t row_size = ggml_row_size(from.type, from.ne[0]);
        chunk                 = std::max(row_size, k_chunk_bytes / row_size * row_size);
    }
    for (size_t done = 0; done < from.nbytes; done += chunk) {
        std::vector<char> bytes(std::min(chunk, from.nbytes - done));
        file_->read_tensor(from, done, bytes.data(), bytes.size());
        if (!finite(from.type, bytes)) {
            file_->fail("holds NaN or infinity in tensor " + from.name + "; convert the model again");
        }
        if (entry.convert) {
            bytes = entry.convert(from, std::move(bytes));
        }
        ggml_backend_tensor_set(entry.tensor, bytes.data(), done, bytes.size());
    }
}

}  // namespace omni

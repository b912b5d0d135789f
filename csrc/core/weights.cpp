#include "core/weights.h"

#include <algorithm>
#include <cstring>
#include <mutex>

#include "core/finite.h"
#include "core/parallel.h"
#include "error/error.h"
#include "threads/cpu_share.h"

namespace omni {

namespace {

constexpr size_t k_longest_stored_name = 63;
constexpr size_t k_chunk_bytes         = 8 << 20;
constexpr size_t k_prefetch_jobs       = 8;
constexpr int    k_most_threads        = 8;  // more don't read memory faster

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
template <typename T>
std::vector<T> moved(const std::vector<char> & bytes, size_t n, const std::function<int64_t(int64_t)> & source) {
    std::vector<T> out(n);
    const auto *   values = reinterpret_cast<const T *>(bytes.data());
    for (size_t i = 0; i < n; ++i) {
        const int64_t from = source((int64_t) i);
        out[i]             = from < 0 ? T{} : values[from];
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

Weights::Weights(std::shared_ptr<const GgufFile> file, ggml_backend_dev_t device, bool map) :
    file_(std::move(file)),
    device_(device),
    map_(map),
    store_(file_->tensors().size() + 1, "the weights of " + file_->path()) {}

const GgufTensor & Weights::require(const std::string & full_name, const std::vector<int64_t> & ne) {
    const std::string      name  = stored_name(full_name);
    const GgufTensor *     found = file_->find_tensor(name);
    std::array<int64_t, 4> expected{ 1, 1, 1, 1 };
    std::copy(ne.begin(), ne.end(), expected.begin());
    const auto origin = file_->origin(name);
    if (found == nullptr) {
        origin.file.fail("lacks tensor " + name + " (expected " + shape_text(expected.data(), (int) ne.size()) +
                         "); convert the model again");
    }
    if (found->ne != expected) {
        origin.file.fail("has tensor " + origin.name + " of shape " + shape_text(found->ne.data(), found->n_dims) +
                         " where " + shape_text(expected.data(), (int) ne.size()) +
                         " follows from its metadata; convert the model again");
    }
    if (!readable(found->type)) {
        origin.file.fail("has tensor " + origin.name + " of type " + ggml_type_name(found->type) +
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
        const auto origin = file_->origin(from.name);
        origin.file.fail("has tensor " + origin.name + " in " + ggml_type_name(type) +
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

ggml_tensor * Weights::table(const std::string & name, std::vector<int64_t> ne) {
    ggml_tensor * tensor      = matrix(name, std::move(ne));
    entries_.back().looked_up = true;
    return tensor;
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
        if (tensor.type == type && ggml_type_size(type) == sizeof(uint16_t)) {
            const auto   halves = moved<uint16_t>(bytes, n, source);
            const auto * first  = reinterpret_cast<const char *>(halves.data());
            return std::vector<char>(first, first + n * sizeof(uint16_t));
        }
        return from_f32(moved<float>(to_f32(tensor, bytes), n, source), type);
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

namespace {

// Counts what is loaded, for whoever wants to know.
class Counted {
  public:
    Counted(const LoadProgress & progress, size_t n) : progress_(progress), n_(n) {}

    void one_more() {
        if (!progress_) {
            return;
        }
        std::lock_guard<std::mutex> lock(mutex_);
        if (stopped_ || !progress_((double) ++done_ / (double) n_)) {
            stopped_ = true;
            throw Error(ErrorKind::input, "loading was stopped by the program");
        }
    }

  private:
    const LoadProgress & progress_;
    std::mutex           mutex_;
    size_t               n_;
    size_t               done_    = 0;
    bool                 stopped_ = false;
};

}  // namespace

void Weights::load(const LoadProgress & progress) {
    refuse_unknown_tensors();
    allocate();
    const std::vector<Job> all = jobs();
    Counted                counted(progress, all.size());
    // Other devices are fed by one thread: their drivers, and ggml's way to fail there, know no other.
    const int n_threads = computes_in_host_memory(device_) ? usable_cpus() : 1;
    run_jobs(all.size(), std::clamp(n_threads, 1, k_most_threads), [&](size_t i) {
        const size_t ahead = i + k_prefetch_jobs;
        if (ahead < all.size() && all[ahead].entry->pages != nullptr) {
            all[ahead].entry->pages->prefetch(all[ahead].entry->offset + all[ahead].from, all[ahead].size);
        }
        load_job(all[i]);
        counted.one_more();
    });
    check_intact();
}

void Weights::check_rows(const ggml_tensor * table, const std::vector<int32_t> & rows) const {
    for (const auto & entry : entries_) {
        if (entry.tensor == table && entry.looked_up && entry.pages != nullptr) {
            const size_t size = ggml_row_size(entry.from->type, entry.from->ne[0]);
            for (int32_t row : rows) {
                check_values(*entry.from, entry.pages->data() + entry.offset + (size_t) row * size, size);
            }
        }
    }
}

void Weights::check_intact() const {
    for (const auto & mapped : mapped_) {
        if (mapped.second.pages != nullptr && mapped.second.pages->cut()) {
            mapped.first->fail("was cut while it was in use; load it again");
        }
    }
}

void Weights::allocate() {
    if (map_ && computes_in_host_memory(device_)) {
        for (auto & entry : entries_) {
            map_entry(entry);
        }
    }
    if (!store_.allocate_large(device_, GGML_BACKEND_BUFFER_USAGE_WEIGHTS)) {
        store_.allocate(ggml_backend_dev_buffer_type(device_), GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    }
}

Weights::Mapped & Weights::mapping_of(const GgufFile & file) {
    const auto found  = mapped_.emplace(&file, Mapped{});
    Mapped &   mapped = found.first->second;
    if (found.second) {
        mapped.pages = file.map();
    }
    if (found.second && mapped.pages) {
        // ggml's interface knows no memory that is only read; nothing writes to weights.
        auto *       data = const_cast<char *>(mapped.pages->data());
        const size_t size = mapped.pages->size();
        mapped.buffer.reset(ggml_backend_dev_buffer_from_host_ptr(device_, data, size, size));
        if (mapped.buffer) {
            ggml_backend_buffer_set_usage(mapped.buffer.get(), GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
        }
    }
    return mapped;
}

// Leaves the entry as it is where its bytes are not in one piece, or not where the device can read them.
void Weights::map_entry(Entry & entry) {
    const auto range = file_->range_of(*entry.from);
    if (entry.convert || !range ||
        range->offset % ggml_backend_buft_get_alignment(ggml_backend_dev_buffer_type(device_)) != 0) {
        return;
    }
    const Mapped & mapped = mapping_of(*range->file);
    if (!mapped.buffer) {
        return;
    }
    entry.pages  = mapped.pages.get();
    entry.offset = (size_t) range->offset;
    auto * data  = static_cast<char *>(ggml_backend_buffer_get_base(mapped.buffer.get())) + range->offset;
    if (ggml_backend_tensor_alloc(mapped.buffer.get(), entry.tensor, data) != GGML_STATUS_SUCCESS) {
        throw Error(ErrorKind::internal, "tensor " + entry.from->name + " could not be placed in the file's pages");
    }
    mapped_nbytes_ += entry.from->nbytes;
}

// What has to be converted first: it takes longest, and would be waited for at the end.
std::vector<Weights::Job> Weights::jobs() const {
    std::vector<Job> all;
    for (const auto & entry : entries_) {
        if (entry.convert) {
            all.push_back({ &entry, 0, entry.from->nbytes });
        }
    }
    std::stable_sort(all.begin(), all.end(), [](const Job & a, const Job & b) { return a.size > b.size; });
    for (const auto & entry : entries_) {
        if (entry.looked_up && entry.pages != nullptr) {
            continue;  // its rows are read when they are asked for
        }
        const size_t row   = ggml_row_size(entry.from->type, entry.from->ne[0]);
        const size_t chunk = std::max(row, k_chunk_bytes / row * row);
        for (size_t from = 0; !entry.convert && from < entry.from->nbytes; from += chunk) {
            all.push_back({ &entry, from, std::min(chunk, entry.from->nbytes - from) });
        }
    }
    return all;
}

void Weights::check_values(const GgufTensor & from, const char * bytes, size_t size) const {
    if (!all_finite(from.type, bytes, size)) {
        const auto origin = file_->origin(from.name);
        origin.file.fail("holds NaN or infinity in tensor " + origin.name + "; convert the model again");
    }
}

void Weights::load_job(const Job & job) const {
    const Entry &      entry = *job.entry;
    const GgufTensor & from  = *entry.from;
    if (entry.pages != nullptr) {
        check_values(from, entry.pages->data() + entry.offset + job.from, job.size);
        return;
    }
    std::vector<char> bytes(job.size);
    file_->read_tensor(from, job.from, bytes.data(), bytes.size());
    check_values(from, bytes.data(), bytes.size());
    if (entry.convert) {
        bytes = entry.convert(from, std::move(bytes));
    }
    ggml_backend_tensor_set(entry.tensor, bytes.data(), job.from, bytes.size());
}

}  // namespace omni

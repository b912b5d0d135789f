// Weights of one model on one device, checked against the file before anything is allocated.
//
// A model declares every tensor it needs with the shape its geometry implies; `load` then gives them memory and values,
// laid out as the graphs want them. On a CPU, a tensor that the file has in that layout is not copied but stays in the
// file's own pages. What the file holds beyond the declared tensors is an error too: such a file is not what it says it
// is.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "core/buffer.h"
#include "gguf/gguf_file.h"

namespace omni {

// Told what part of the values is loaded, 0 to 1, by the threads that load, one at a time; false stops the loading.
using LoadProgress = std::function<bool(double)>;

// ggml's names hold 63 bytes; our files drop a trailing ".weight" from a longer one.
std::string stored_name(const std::string & name);

class Weights {
  public:
    // `map`: whether tensors may stay in the file's pages; the file must then not be written to while they are in use.
    Weights(std::shared_ptr<const GgufFile> file, ggml_backend_dev_t device, bool map);

    // Shapes are in ggml order. Throws Error(file) when the tensor is missing, misshapen or of a type no graph reads.
    // A matrix (or stack of matrices) in the type the file has.
    ggml_tensor * matrix(const std::string & name, std::vector<int64_t> ne);

    // A matrix of which only some rows are looked up, each to be checked before (`check_rows`). Where it stays in the
    // file's pages, loading reads none of it.
    ggml_tensor * table(const std::string & name, std::vector<int64_t> ne);

    // A matrix whose inputs can exceed the range of float16: an F16 tensor becomes F32, since ggml's CPU backend
    // would otherwise convert those inputs to F16 and overflow.
    ggml_tensor * wide_matrix(const std::string & name, std::vector<int64_t> ne);

    // Any tensor, as F32.
    ggml_tensor * f32(const std::string & name, std::vector<int64_t> ne);

    // F32 values, each replaced by change(value).
    ggml_tensor * f32_changed(const std::string & name, std::vector<int64_t> ne, std::function<float(float)> change);

    // A tensor stored with ne = `stored`, its elements moved: element i of the result, of shape ne and of `type` (F32,
    // F16 or BF16), is element source(i) of the stored one, or zero where source(i) is negative.
    ggml_tensor * rearranged(const std::string & name, std::vector<int64_t> stored, ggml_type type,
                             std::vector<int64_t> ne, std::function<int64_t(int64_t)> source);

    // The type a tensor has in the file. Throws Error(file) when it is missing.
    ggml_type stored_type(const std::string & name) const;

    bool has(const std::string & name) const { return file_->find_tensor(stored_name(name)) != nullptr; }

    // Throws Error(file) for tensors nobody declared. With what declaring checks, that is all short of reading values.
    void check() const;

    // Reads everything. Throws Error(file) for tensors nobody declared or for values that are not finite, Error(input)
    // where `progress` stopped it.
    void load(const LoadProgress & progress);

    // Throws Error(file) where a row of a `table` that loading did not read holds values that are not finite.
    void check_rows(const ggml_tensor * table, const std::vector<int32_t> & rows) const;

    // Throws Error(file) where a file was cut while its pages are in use.
    void check_intact() const;

    const GgufFile & file() const { return *file_; }

    ggml_backend_dev_t device() const { return device_; }

    // Bytes of all tensors, and of those that stay in the file's pages.
    size_t nbytes() const { return store_.nbytes() + mapped_nbytes_; }

    size_t mapped_nbytes() const { return mapped_nbytes_; }

  private:
    // Turns the file's bytes of `from` into the bytes of the tensor.
    using Convert = std::function<std::vector<char>(const GgufTensor & from, std::vector<char> bytes)>;

    // A file's pages, as a buffer that ggml computes in.
    struct Mapped {
        std::unique_ptr<FileMapping> pages;
        BufferPtr                    buffer;
    };

    struct Entry {
        ggml_tensor *      tensor;
        const GgufTensor * from;
        Convert            convert;  // empty: the bytes as they are

        const FileMapping * pages     = nullptr;  // where the tensor stays in them, from `offset` on
        size_t              offset    = 0;
        bool                looked_up = false;
    };

    // A piece of one entry: converted as a whole, else some rows.
    struct Job {
        const Entry * entry;
        size_t        from;
        size_t        size;
    };

    const GgufTensor & require(const std::string & name, const std::vector<int64_t> & ne);
    ggml_tensor *    declare(const GgufTensor & from, ggml_type type, const std::vector<int64_t> & ne, Convert convert);
    void             refuse_unknown_tensors() const;
    Mapped &         mapping_of(const GgufFile & file);
    void             map_entry(Entry & entry);
    void             allocate();
    std::vector<Job> jobs() const;
    void             load_job(const Job & job) const;
    void             check_values(const GgufTensor & from, const char * bytes, size_t size) const;

    std::shared_ptr<const GgufFile>    file_;
    ggml_backend_dev_t                 device_;
    bool                               map_;
    std::map<const GgufFile *, Mapped> mapped_;
    TensorStore                        store_;
    std::vector<Entry>                 entries_;
    std::set<std::string>              declared_;
    size_t                             mapped_nbytes_ = 0;
};

}  // namespace omni

// Reads a GGUF file: metadata values, and where each tensor's bytes lie.
//
// The file is untrusted input. ggml's own reader refuses names of 64 bytes and more, which files in the wild hold, and
// reports to stderr; this one throws one sentence naming the key or tensor. Every count is checked against the bytes
// that are left, so that no file can ask for more memory than a small multiple of its size.
// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (version 2 and 3, little endian).
#pragma once

#include <array>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "ggml.h"
#include "gguf/file_mapping.h"

namespace omni {

// A metadata value. Every integer type widens to int64 (uint64 beyond its range is refused), every float to double.
using GgufValue = std::variant<int64_t, double, bool, std::string, std::vector<int64_t>, std::vector<double>,
                               std::vector<bool>, std::vector<std::string>>;

struct GgufTensor {
    std::string            name;
    ggml_type              type;
    int                    n_dims;
    std::array<int64_t, 4> ne;      // ggml order: ne[0] varies fastest; what a file has beyond four is in the last
    uint64_t               offset;  // of the first byte, from the start of the file
    size_t                 nbytes;
};

class GgufFile {
  public:
    // Bytes that lie in a file as they are.
    struct Range {
        const GgufFile * file;
        uint64_t         offset;
    };

    // How a metadata value is stored, by GGUF's numbers; `element`: of an array's, 0 for all else.
    struct ValueType {
        uint32_t type;
        uint32_t element;
    };

    // Throws Error(file) unless the whole header is sound and every tensor lies inside the file.
    explicit GgufFile(const std::string & path);
    virtual ~GgufFile();
    GgufFile(const GgufFile &)             = delete;
    GgufFile & operator=(const GgufFile &) = delete;

    const std::string & path() const { return path_; }

    uint64_t size() const { return size_; }

    const std::vector<std::pair<std::string, GgufValue>> & metadata() const { return metadata_; }

    // Of the entries of metadata() that the file itself has, in its order.
    const std::vector<ValueType> & value_types() const { return value_types_; }

    const std::vector<GgufTensor> & tensors() const { return tensors_; }

    const GgufTensor * find_tensor(const std::string & name) const;

    // nullptr where the key is absent.
    const GgufValue * find(const std::string & key) const;

    // The value of a key that must be there, in the range that makes sense for it.
    int64_t                  integer(const std::string & key, int64_t low, int64_t high) const;
    double                   real(const std::string & key, double low, double high) const;
    bool                     boolean(const std::string & key) const;
    std::string              string(const std::string & key) const;
    std::vector<int64_t>     integers(const std::string & key, int64_t low, int64_t high) const;
    std::vector<std::string> strings(const std::string & key) const;

    // The same, or `otherwise` where the key is absent.
    int64_t integer_or(const std::string & key, int64_t low, int64_t high, int64_t otherwise) const;
    double  real_or(const std::string & key, double low, double high, double otherwise) const;
    bool    boolean_or(const std::string & key, bool otherwise) const;

    // Reads `size` bytes at `offset` of the file. Safe to call from several threads.
    void read(uint64_t offset, void * target, size_t size) const;

    // The same; throws Error(file) where the file has no such bytes.
    std::string bytes(uint64_t offset, size_t size) const;

    // Reads `size` bytes of the values of one of tensors(), from their byte `from` on.
    virtual void read_tensor(const GgufTensor & tensor, size_t from, void * target, size_t size) const;

    // Where the values of one of tensors() lie in one piece, if they do.
    virtual std::optional<Range> range_of(const GgufTensor & tensor) const;

    // Where a tensor comes from, for a sentence about it: the file it lies in, and its name there. A name that is none
    // stands for all that begin with it.
    struct Origin {
        const GgufFile & file;
        std::string      name;
    };

    virtual Origin origin(const std::string & tensor) const { return { *this, tensor }; }

    // The file that is at fault where a value of the metadata is.
    virtual const GgufFile & teller(const std::string & /*key*/) const { return *this; }

    // The whole file in memory, or null where that can't be.
    std::unique_ptr<FileMapping> map() const { return FileMapping::open(file_, size_); }

    // Throws Error(file) with the file's name in front.
    [[noreturn]] void fail(const std::string & what) const;

  protected:
    // For a file of another layout: other tensors and further keys in the place of what the header says.
    void replace_tensors(std::vector<GgufTensor> tensors);
    void set_metadata(const std::string & key, GgufValue value);

  private:
    class Cursor;

    void      read_header();
    void      read_tensor(Cursor & cursor);
    void      place_tensors(uint64_t data_start, uint64_t alignment);
    GgufValue read_value(Cursor & cursor, ValueType stored, const std::string & key) const;
    GgufValue read_array(Cursor & cursor, uint32_t type, const std::string & key) const;

    std::string                                    path_;
    uint64_t                                       size_ = 0;
    std::FILE *                                    file_ = nullptr;
    mutable std::mutex                             mutex_;
    std::vector<std::pair<std::string, GgufValue>> metadata_;
    std::vector<ValueType>                         value_types_;
    std::unordered_map<std::string, size_t>        metadata_index_;
    std::vector<GgufTensor>                        tensors_;
    std::unordered_map<std::string, size_t>        tensor_index_;
};

}  // namespace omni

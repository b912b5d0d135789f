#include "gguf/gguf_file.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>

#include "error/error.h"

namespace omni {

namespace {

constexpr char     k_magic[4]          = { 'G', 'G', 'U', 'F' };
constexpr uint32_t k_most_dims         = 8;  // an encoder's kernel has 5; ggml's tensors have 4
constexpr uint32_t k_type_string       = 8;
constexpr uint32_t k_type_array        = 9;
constexpr uint64_t k_default_alignment = 32;
constexpr uint64_t k_longest_name      = 1024;
constexpr uint64_t k_longest_array     = 1 << 26;  // the largest vocabularies have less than 2^20
// A tensor's header entry takes at least this: name length, dimension count, type, offset.
constexpr uint64_t k_least_tensor_entry = 24;
constexpr uint64_t k_least_metadata     = 13;

#if defined(_WIN32)
int seek64(std::FILE * file, uint64_t offset) {
    return _fseeki64(file, (long long) offset, SEEK_SET);
}
#else
int seek64(std::FILE * file, uint64_t offset) {
    return fseeko(file, (off_t) offset, SEEK_SET);
}
#endif

// Bytes of one scalar of a GGUF metadata type; 0 for strings, arrays and unknown types.
size_t scalar_size(uint32_t type) {
    switch (type) {
        case 0:
        case 1:
        case 7: return 1;
        case 2:
        case 3: return 2;
        case 4:
        case 5:
        case 6: return 4;
        case 10:
        case 11:
        case 12: return 8;
        default: return 0;
    }
}

bool is_float_type(uint32_t type) {
    return type == 6 || type == 12;
}

// The well-formed sequences of Unicode's table 3-7.
bool is_utf8(const std::string & text) {
    size_t i = 0;
    while (i < text.size()) {
        const auto   lead   = (unsigned char) text[i];
        const size_t length = lead < 0x80   ? 1
                              : lead < 0xc2 ? 0
                              : lead < 0xe0 ? 2
                              : lead < 0xf0 ? 3
                              : lead < 0xf5 ? 4
                                            : 0;
        if (length == 0 || i + length > text.size()) {
            return false;
        }
        for (size_t j = 1; j < length; ++j) {
            const auto next = (unsigned char) text[i + j];
            const auto low  = j > 1 ? 0x80 : lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
            const auto high = j > 1 ? 0xbf : lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
            if (next < low || next > high) {
                return false;
            }
        }
        i += length;
    }
    return true;
}

// Opening a FIFO would wait for ever, and a directory opens but can't be read.
void check_kind(const std::string & path) {
    if (path.find('\0') != std::string::npos) {
        throw Error(ErrorKind::file, path + ": a path can't hold a zero byte");
    }
    std::error_code error;
    const auto      status = std::filesystem::status(path, error);
    if (std::filesystem::is_directory(status)) {
        throw Error(ErrorKind::file, path + " is a directory; name a .gguf file in it");
    }
    if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
        throw Error(ErrorKind::file, path + " is not a regular file");
    }
}

std::string printable(const std::string & name) {
    std::string out;
    for (unsigned char c : name.substr(0, 100)) {
        out += (c >= 32 && c < 127) ? (char) c : '?';
    }
    return out;
}

}  // namespace

// Walks the header with a buffer, never past the end of the file.
class GgufFile::Cursor {
  public:
    explicit Cursor(const GgufFile & file) : file_(file) {}

    uint64_t position() const { return position_; }

    uint64_t left() const { return file_.size_ - position_; }

    void bytes(void * target, size_t size) {
        if (size > left()) {
            file_.fail("is truncated: it ends inside its header, at byte " + std::to_string(file_.size_) +
                       "; copy or download it again");
        }
        auto * out = static_cast<char *>(target);
        while (size > 0) {
            if (buffer_used_ == buffer_.size()) {
                refill();
            }
            const size_t n = std::min(size, buffer_.size() - buffer_used_);
            std::memcpy(out, buffer_.data() + buffer_used_, n);
            buffer_used_ += n;
            position_ += n;
            out += n;
            size -= n;
        }
    }

    template <typename T> T scalar() {
        T value;
        bytes(&value, sizeof(T));
        return value;
    }

    std::string string(uint64_t longest) {
        const uint64_t length = scalar<uint64_t>();
        if (length > left() || length > longest) {
            file_.fail("is damaged: a string of " + std::to_string(length) + " bytes at byte " +
                       std::to_string(position_) + " of its header");
        }
        std::string value(length, '\0');
        bytes(value.data(), length);
        return value;
    }

  private:
    void refill() {
        buffer_.resize(std::min<uint64_t>(left(), 1 << 16));
        file_.read(position_, buffer_.data(), buffer_.size());
        buffer_used_ = 0;
    }

    const GgufFile &  file_;
    uint64_t          position_ = 0;
    std::vector<char> buffer_;
    size_t            buffer_used_ = 0;
};

namespace {

// One scalar as int64 or double, by its GGUF type.
template <typename Cursor> int64_t read_integer(Cursor & cursor, uint32_t type, bool & fits) {
    fits = true;
    switch (type) {
        case 0: return cursor.template scalar<uint8_t>();
        case 1: return cursor.template scalar<int8_t>();
        case 2: return cursor.template scalar<uint16_t>();
        case 3: return cursor.template scalar<int16_t>();
        case 4: return cursor.template scalar<uint32_t>();
        case 5: return cursor.template scalar<int32_t>();
        case 11: return cursor.template scalar<int64_t>();
        default: {
            const auto value = cursor.template scalar<uint64_t>();
            fits             = value <= (uint64_t) std::numeric_limits<int64_t>::max();
            return (int64_t) value;
        }
    }
}

template <typename Cursor> double read_float(Cursor & cursor, uint32_t type) {
    return type == 6 ? (double) cursor.template scalar<float>() : cursor.template scalar<double>();
}

}  // namespace

GgufFile::GgufFile(const std::string & path) : path_(path) {
    check_kind(path);
    file_ = std::fopen(path.c_str(), "rb");
    if (file_ == nullptr) {
        throw Error(ErrorKind::file, path + ": " + std::strerror(errno));
    }
    try {
        if (std::fseek(file_, 0, SEEK_END) != 0) {
            fail("is not a file that can be read at any position");
        }
#if defined(_WIN32)
        const long long end = _ftelli64(file_);
#else
        const off_t end = ftello(file_);
#endif
        if (end < 0 || (uint64_t) end > (uint64_t) std::numeric_limits<int64_t>::max() / 2) {
            fail("is not a regular file");
        }
        size_ = (uint64_t) end;
        read_header();
    } catch (...) {
        std::fclose(file_);
        throw;
    }
}

GgufFile::~GgufFile() {
    std::fclose(file_);
}

void GgufFile::fail(const std::string & what) const {
    throw Error(ErrorKind::file, path_ + " " + what);
}

std::string GgufFile::bytes(uint64_t offset, size_t size) const {
    if (offset > size_ || size > size_ - offset) {
        fail("has no " + std::to_string(size) + " bytes at " + std::to_string(offset));
    }
    std::string out(size, '\0');
    read(offset, &out[0], size);
    return out;
}

void GgufFile::read(uint64_t offset, void * target, size_t size) const {
    std::lock_guard<std::mutex> lock(mutex_);
    if (seek64(file_, offset) != 0 || std::fread(target, 1, size, file_) != size) {
        fail("could not be read at byte " + std::to_string(offset) + "; it may have been cut while in use");
    }
}

void GgufFile::read_header() {
    Cursor cursor(*this);
    char   magic[4];
    if (size_ < 24) {
        fail("is not a GGUF file: it has only " + std::to_string(size_) + " bytes");
    }
    cursor.bytes(magic, sizeof(magic));
    if (std::memcmp(magic, k_magic, sizeof(magic)) != 0) {
        fail("is not a GGUF file: it does not begin with the letters GGUF");
    }
    const auto version = cursor.scalar<uint32_t>();
    if (version != 2 && version != 3) {
        fail("has GGUF version " + std::to_string(version) + "; versions 2 and 3 (little endian) can be read");
    }
    const auto n_tensors  = cursor.scalar<uint64_t>();
    const auto n_metadata = cursor.scalar<uint64_t>();
    if (n_tensors > size_ / k_least_tensor_entry || n_metadata > size_ / k_least_metadata) {
        fail("is damaged: it claims " + std::to_string(n_tensors) + " tensors and " + std::to_string(n_metadata) +
             " metadata entries in " + std::to_string(size_) + " bytes");
    }
    for (uint64_t i = 0; i < n_metadata; ++i) {
        std::string key  = cursor.string(1 << 16);
        const auto  type = cursor.scalar<uint32_t>();
        if (!metadata_index_.emplace(key, metadata_.size()).second) {
            fail("holds the metadata key " + printable(key) + " twice");
        }
        const auto element = type == k_type_array ? cursor.scalar<uint32_t>() : 0;
        value_types_.push_back({ type, element });
        metadata_.emplace_back(key, read_value(cursor, value_types_.back(), key));
    }
    for (uint64_t i = 0; i < n_tensors; ++i) {
        read_tensor(cursor);
    }
    const auto alignment = (uint64_t) integer_or("general.alignment", 1, 1 << 20, k_default_alignment);
    const auto start     = (cursor.position() + alignment - 1) / alignment * alignment;
    place_tensors(start, alignment);
}

GgufValue GgufFile::read_value(Cursor & cursor, ValueType stored, const std::string & key) const {
    const uint32_t type = stored.type;
    if (type == k_type_string) {
        return cursor.string(size_);
    }
    if (type == k_type_array) {
        return read_array(cursor, stored.element, key);
    }
    if (scalar_size(type) == 0) {
        fail("is damaged: metadata key " + printable(key) + " has the unknown type " + std::to_string(type));
    }
    if (is_float_type(type)) {
        return read_float(cursor, type);
    }
    if (type == 7) {
        return cursor.scalar<uint8_t>() != 0;
    }
    bool          fits  = true;
    const int64_t value = read_integer(cursor, type, fits);
    if (!fits) {
        fail("is damaged: metadata key " + printable(key) + " is beyond 2^63");
    }
    return value;
}

GgufValue GgufFile::read_array(Cursor & cursor, uint32_t type, const std::string & key) const {
    const auto count = cursor.scalar<uint64_t>();
    // A string takes at least its eight bytes of length.
    const size_t least = type == k_type_string ? 8 : scalar_size(type);
    if (least == 0) {
        fail("holds metadata key " + printable(key) + ", an array of the unsupported type " + std::to_string(type));
    }
    if (count > cursor.left() / least) {
        fail("is damaged: metadata key " + printable(key) + " claims " + std::to_string(count) +
             " elements, more than the file has room for");
    }
    if (count > k_longest_array) {
        fail("holds metadata key " + printable(key) + " with " + std::to_string(count) + " elements, more than 2^26");
    }
    if (type == k_type_string) {
        std::vector<std::string> values;
        values.reserve(count);
        for (uint64_t i = 0; i < count; ++i) {
            values.push_back(cursor.string(size_));
        }
        return values;
    }
    if (is_float_type(type)) {
        std::vector<double> values(count);
        for (auto & value : values) {
            value = read_float(cursor, type);
        }
        return values;
    }
    if (type == 7) {
        std::vector<bool> values(count);
        for (uint64_t i = 0; i < count; ++i) {
            values[i] = cursor.scalar<uint8_t>() != 0;
        }
        return values;
    }
    std::vector<int64_t> values(count);
    for (auto & value : values) {
        bool fits = true;
        value     = read_integer(cursor, type, fits);
        if (!fits) {
            fail("is damaged: metadata key " + printable(key) + " holds a number beyond 2^63");
        }
    }
    return values;
}

void GgufFile::read_tensor(Cursor & cursor) {
    GgufTensor tensor;
    tensor.name       = cursor.string(k_longest_name);
    const auto n_dims = cursor.scalar<uint32_t>();
    if (n_dims < 1 || n_dims > k_most_dims) {
        fail("is damaged: tensor " + printable(tensor.name) + " has " + std::to_string(n_dims) + " dimensions (1 to " +
             std::to_string(k_most_dims) + " are possible)");
    }
    tensor.n_dims    = (int) std::min(n_dims, 4u);
    tensor.ne        = { 1, 1, 1, 1 };
    uint64_t product = 1;
    for (uint32_t d = 0; d < n_dims; ++d) {
        const auto extent = cursor.scalar<uint64_t>();
        // 2^48 elements are beyond any file, and small enough that bytes can't overflow below.
        if (extent == 0 || extent > (1ull << 48) / product) {
            fail("is damaged: tensor " + printable(tensor.name) + " has the impossible extent " +
                 std::to_string(extent) + " in dimension " + std::to_string(d));
        }
        product *= extent;
        tensor.ne[std::min(d, 3u)] *= (int64_t) extent;
    }
    const auto type = cursor.scalar<uint32_t>();
    if (type >= GGML_TYPE_COUNT || ggml_blck_size((ggml_type) type) == 0 || ggml_type_size((ggml_type) type) == 0) {
        fail("holds tensor " + printable(tensor.name) + " of type " + std::to_string(type) +
             ", which this version of ggml does not know");
    }
    tensor.type         = (ggml_type) type;
    const int64_t block = ggml_blck_size(tensor.type);
    if (tensor.ne[0] % block != 0) {
        fail("is damaged: rows of tensor " + printable(tensor.name) + " have " + std::to_string(tensor.ne[0]) +
             " elements, which blocks of " + std::to_string(block) + " (" + ggml_type_name(tensor.type) +
             ") do not divide");
    }
    tensor.nbytes = (size_t) (product / (uint64_t) block * ggml_type_size(tensor.type));
    tensor.offset = cursor.scalar<uint64_t>();
    if (!tensor_index_.emplace(tensor.name, tensors_.size()).second) {
        fail("holds tensor " + printable(tensor.name) + " twice");
    }
    tensors_.push_back(std::move(tensor));
}

void GgufFile::place_tensors(uint64_t data_start, uint64_t alignment) {
    for (auto & tensor : tensors_) {
        if (tensor.offset % alignment != 0) {
            fail("is damaged: tensor " + printable(tensor.name) + " lies at offset " + std::to_string(tensor.offset) +
                 ", which is no multiple of the alignment " + std::to_string(alignment));
        }
        if (tensor.offset > size_ || data_start > size_ - tensor.offset ||
            tensor.nbytes > size_ - tensor.offset - data_start) {
            fail("is truncated: tensor " + printable(tensor.name) + " needs " + std::to_string(tensor.nbytes) +
                 " bytes beyond the end of the file; copy or download it again");
        }
        tensor.offset += data_start;
    }
    std::vector<const GgufTensor *> by_offset;
    for (const auto & tensor : tensors_) {
        by_offset.push_back(&tensor);
    }
    std::sort(by_offset.begin(), by_offset.end(), [](const auto * a, const auto * b) { return a->offset < b->offset; });
    for (size_t i = 1; i < by_offset.size(); ++i) {
        if (by_offset[i]->offset < by_offset[i - 1]->offset + by_offset[i - 1]->nbytes) {
            fail("is damaged: tensors " + printable(by_offset[i - 1]->name) + " and " + printable(by_offset[i]->name) +
                 " overlap");
        }
    }
}

void GgufFile::read_tensor(const GgufTensor & tensor, size_t from, void * target, size_t size) const {
    read(tensor.offset + from, target, size);
}

std::optional<GgufFile::Range> GgufFile::range_of(const GgufTensor & tensor) const {
    return Range{ this, tensor.offset };
}

void GgufFile::replace_tensors(std::vector<GgufTensor> tensors) {
    tensors_ = std::move(tensors);
    tensor_index_.clear();
    for (size_t i = 0; i < tensors_.size(); ++i) {
        if (!tensor_index_.emplace(tensors_[i].name, i).second) {
            fail("holds tensor " + printable(tensors_[i].name) + " twice");
        }
    }
}

void GgufFile::set_metadata(const std::string & key, GgufValue value) {
    const auto found = metadata_index_.emplace(key, metadata_.size());
    if (found.second) {
        metadata_.emplace_back(key, std::move(value));
    } else {
        metadata_[found.first->second].second = std::move(value);
    }
}

const GgufTensor * GgufFile::find_tensor(const std::string & name) const {
    const auto it = tensor_index_.find(name);
    return it == tensor_index_.end() ? nullptr : &tensors_[it->second];
}

const GgufValue * GgufFile::find(const std::string & key) const {
    const auto it = metadata_index_.find(key);
    return it == metadata_index_.end() ? nullptr : &metadata_[it->second].second;
}

namespace {

const GgufValue & required(const GgufFile & file, const std::string & key) {
    const GgufValue * value = file.find(key);
    if (value == nullptr) {
        file.teller(key).fail("lacks the metadata key " + key + "; convert the model again");
    }
    return *value;
}

template <typename T> const T & required_as(const GgufFile & file, const std::string & key, const char * kind) {
    const T * value = std::get_if<T>(&required(file, key));
    if (value == nullptr) {
        file.teller(key).fail("has a metadata key " + key + " that is not " + kind);
    }
    return *value;
}

void check_utf8(const GgufFile & file, const std::string & key, const std::string & value) {
    if (!is_utf8(value)) {
        file.teller(key).fail("has a metadata key " + key + " that is not UTF-8");
    }
}

void check_range(const GgufFile & file, const std::string & key, int64_t value, int64_t low, int64_t high) {
    if (value < low || value > high) {
        file.teller(key).fail("has " + key + " = " + std::to_string(value) + ", outside of " + std::to_string(low) +
                              " to " + std::to_string(high));
    }
}

}  // namespace

int64_t GgufFile::integer(const std::string & key, int64_t low, int64_t high) const {
    const auto value = required_as<int64_t>(*this, key, "an integer");
    check_range(*this, key, value, low, high);
    return value;
}

double GgufFile::real(const std::string & key, double low, double high) const {
    const GgufValue & found = required(*this, key);
    double            value = 0;
    if (const auto * integer = std::get_if<int64_t>(&found)) {
        value = (double) *integer;
    } else {
        value = required_as<double>(*this, key, "a number");
    }
    if (!(value >= low && value <= high)) {
        teller(key).fail("has " + key + " = " + std::to_string(value) + ", outside of " + std::to_string(low) + " to " +
                         std::to_string(high));
    }
    return value;
}

bool GgufFile::boolean(const std::string & key) const {
    return required_as<bool>(*this, key, "true or false");
}

std::string GgufFile::string(const std::string & key) const {
    const auto & value = required_as<std::string>(*this, key, "a string");
    check_utf8(*this, key, value);
    return value;
}

std::vector<int64_t> GgufFile::integers(const std::string & key, int64_t low, int64_t high) const {
    const auto & values = required_as<std::vector<int64_t>>(*this, key, "an array of integers");
    for (int64_t value : values) {
        check_range(*this, key, value, low, high);
    }
    return values;
}

std::vector<std::string> GgufFile::strings(const std::string & key) const {
    const auto & values = required_as<std::vector<std::string>>(*this, key, "an array of strings");
    for (const auto & value : values) {
        check_utf8(*this, key, value);
    }
    return values;
}

int64_t GgufFile::integer_or(const std::string & key, int64_t low, int64_t high, int64_t otherwise) const {
    return find(key) == nullptr ? otherwise : integer(key, low, high);
}

double GgufFile::real_or(const std::string & key, double low, double high, double otherwise) const {
    return find(key) == nullptr ? otherwise : real(key, low, high);
}

bool GgufFile::boolean_or(const std::string & key, bool otherwise) const {
    return find(key) == nullptr ? otherwise : boolean(key);
}

}  // namespace omni

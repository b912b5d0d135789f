#include "fuzz/fields.h"

#include <cstring>

namespace omni::fuzz {

namespace {

constexpr uint32_t k_string        = 8;
constexpr uint32_t k_array         = 9;
constexpr size_t   k_most_elements = 64;  // of one array whose fields are worth changing

size_t scalar_size(uint32_t type) {
    constexpr size_t sizes[] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };
    return type < 13 ? sizes[type] : 0;
}

class Walker {
  public:
    Walker(const uint8_t * data, size_t size) : data_(data), size_(size) {}

    Header header() {
        if (size_ < 24) {
            return {};
        }
        at_ = 4;
        add(FieldKind::version, 4);
        const auto n_tensors  = number<uint64_t>(FieldKind::count);
        const auto n_metadata = number<uint64_t>(FieldKind::count);
        for (uint64_t i = 0; i < n_metadata && sound_; ++i) {
            record(found_.metadata, &Walker::entry);
        }
        for (uint64_t i = 0; i < n_tensors && sound_; ++i) {
            record(found_.tensors, &Walker::tensor);
        }
        found_.end = at_;
        return std::move(found_);
    }

  private:
    void record(std::vector<Record> & records, void (Walker::*read)()) {
        const size_t from = at_;
        (this->*read)();
        if (sound_) {
            records.push_back({ from, at_ - from });
        }
    }

    void entry() {
        string();
        const auto type = number<uint32_t>(FieldKind::type);
        type == k_array ? array() : value(type);
    }

    void array() {
        const auto type  = number<uint32_t>(FieldKind::type);
        const auto count = number<uint64_t>(FieldKind::count);
        for (uint64_t i = 0; i < count && sound_; ++i) {
            recording_ = i < k_most_elements;
            value(type);
        }
        recording_ = true;
    }

    void value(uint32_t type) {
        if (type == k_string) {
            string();
        } else if (scalar_size(type) == 0) {
            sound_ = false;
        } else {
            add(FieldKind::value, scalar_size(type));
        }
    }

    void tensor() {
        string();
        const auto n_dims = number<uint32_t>(FieldKind::count);
        for (uint32_t d = 0; d < n_dims && sound_; ++d) {
            add(FieldKind::extent, 8);
        }
        add(FieldKind::type, 4);
        add(FieldKind::offset, 8);
    }

    void string() {
        const auto length = number<uint64_t>(FieldKind::length);
        if (length > size_ - at_) {
            sound_ = false;
        } else if (length > 0) {
            add(FieldKind::text, (size_t) length);
        }
    }

    template <typename T> T number(FieldKind kind) {
        T value = 0;
        if (sizeof(T) <= size_ - at_) {
            std::memcpy(&value, data_ + at_, sizeof(T));
        }
        add(kind, sizeof(T));
        return value;
    }

    void add(FieldKind kind, size_t size) {
        if (!sound_ || size > size_ - at_) {
            sound_ = false;
            return;
        }
        if (recording_) {
            found_.fields.push_back({ kind, at_, size });
        }
        at_ += size;
    }

    const uint8_t * data_;
    size_t          size_;
    size_t          at_        = 0;
    bool            sound_     = true;
    bool            recording_ = true;
    Header          found_;
};

}  // namespace

Header walk(const uint8_t * data, size_t size) {
    return Walker(data, size).header();
}

}  // namespace omni::fuzz

// Where the fields of a GGUF header lie: what a mutator needs to change one without breaking the others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace omni::fuzz {

enum class FieldKind {
    version,
    count,   // of tensors, metadata entries, array elements, dimensions
    length,  // of a string
    text,
    type,  // of a value, an array's elements, a tensor
    value,
    extent,
    offset,
};

struct Field {
    FieldKind kind;
    size_t    at;
    size_t    size;
};

// A metadata entry or a tensor's entry, from its name on.
struct Record {
    size_t at;
    size_t size;
};

struct Header {
    std::vector<Field>  fields;
    std::vector<Record> metadata;
    std::vector<Record> tensors;
    size_t              end = 0;  // of what could be walked
};

// Walks as far as the bytes make sense, and never past their end.
Header walk(const uint8_t * data, size_t size);

}  // namespace omni::fuzz

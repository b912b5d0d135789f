// libFuzzer's mutations of bytes, and ours of GGUF files: a field changed, an entry doubled, taken away or put in
// another's place, a file cut. Data stays aligned and where the header says, so that most mutants are refused for what
// was changed and not for where it moved.

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include "fuzz/fields.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t * data, size_t size, size_t max_size);

namespace omni::fuzz {

namespace {

constexpr size_t   k_alignment     = 32;
constexpr uint64_t k_interesting[] = {
    0,          1,          2,           3,           7,          31,         32,         33,
    63,         64,         127,         255,         1023,       4096,       65535,      65536,
    0x7fffffff, 0x80000000, 0xffffffff,  0x100000000, 1ull << 40, 1ull << 48, 1ull << 61, (1ull << 63) - 1,
    1ull << 63, ~0ull,      ~0ull - 31u, 0x7fc00000,  0x7f800000, 0x3f800000, 0xbf800000, 0x7ff0000000000000,
};
constexpr uint8_t k_odd_bytes[] = { 0, '\n', '%', '{', '"', '/', '\\', 0x7f, 0x80, 0xc0, 0xed, 0xf5, 0xff };

using Bytes = std::vector<uint8_t>;

size_t aligned(size_t size) {
    return (size + k_alignment - 1) / k_alignment * k_alignment;
}

class Mutation {
  public:
    Mutation(Bytes & bytes, unsigned seed) : bytes_(bytes), random_(seed), header_(walk(bytes.data(), bytes.size())) {}

    void apply() {
        if (header_.fields.empty()) {
            return;
        }
        switch (below(10)) {
            case 0: return cut();
            case 1: return change_record(0);
            case 2: return change_record(1);
            case 3: return copy_field();
            case 4: return resize_text();
            case 5: return change_data();
            default: return change_field();
        }
    }

  private:
    size_t below(size_t n) { return n == 0 ? 0 : std::uniform_int_distribution<size_t>(0, n - 1)(random_); }

    const Field & any_field() { return header_.fields[below(header_.fields.size())]; }

    uint64_t number(const Field & field) const {
        uint64_t value = 0;
        std::memcpy(&value, bytes_.data() + field.at, std::min<size_t>(field.size, 8));
        return value;
    }

    void set(const Field & field, uint64_t value) {
        std::memcpy(bytes_.data() + field.at, &value, std::min<size_t>(field.size, 8));
    }

    void cut() { bytes_.resize(below(2) == 0 ? below(bytes_.size()) : bytes_.size() - below(4096) % bytes_.size()); }

    void change_field() {
        const Field & field = any_field();
        if (field.kind == FieldKind::text) {
            bytes_[field.at + below(field.size)] = k_odd_bytes[below(sizeof(k_odd_bytes))];
            return;
        }
        switch (below(5)) {
            case 0: return set(field, number(field) + 1);
            case 1: return set(field, number(field) - 1);
            case 2: return set(field, number(field) * 2);
            case 3: return set(field, number(field) ^ (1ull << below(8 * std::min<size_t>(field.size, 8))));
            default: return set(field, k_interesting[below(sizeof(k_interesting) / sizeof(*k_interesting))]);
        }
    }

    // One field's value in another of its kind: overlapping tensors, equal names, types that don't fit.
    void copy_field() {
        const Field &      to = any_field();
        std::vector<Field> alike;
        std::copy_if(header_.fields.begin(), header_.fields.end(), std::back_inserter(alike),
                     [&](const Field & other) { return other.kind == to.kind && other.size == to.size; });
        const Field & from = alike[below(alike.size())];
        std::memmove(bytes_.data() + to.at, bytes_.data() + from.at, to.size);
    }

    void resize_text() {
        std::vector<size_t> lengths;
        for (size_t i = 0; i + 1 < header_.fields.size(); ++i) {
            if (header_.fields[i].kind == FieldKind::length && header_.fields[i + 1].kind == FieldKind::text) {
                lengths.push_back(i);
            }
        }
        if (lengths.empty()) {
            return;
        }
        const size_t which = lengths[below(lengths.size())];
        const Field  text  = header_.fields[which + 1];
        Bytes        put(below(4) == 0 ? below(2000) : below(80), 'a');
        std::copy_n(bytes_.begin() + (std::ptrdiff_t) text.at, std::min(put.size(), text.size), put.begin());
        set(header_.fields[which], put.size());
        splice(text.at, text.size, put);
    }

    // An entry taken away, doubled, or in another's place; the counts follow, mostly. `which`: 0 tensors, 1 metadata.
    void change_record(size_t which) {
        const auto & records = which == 0 ? header_.tensors : header_.metadata;
        if (records.empty()) {
            return;
        }
        const Record from  = records[below(records.size())];
        const Record to    = records[below(records.size())];
        const auto   start = bytes_.begin() + (std::ptrdiff_t) from.at;
        const Bytes  copy(start, start + (std::ptrdiff_t) from.size);
        const Field  count{ FieldKind::count, 8 + 8 * which, 8 };
        const size_t what = below(3);
        if (below(8) != 0) {
            set(count, number(count) + (what == 1 ? 1 : what == 0 ? ~0ull : 0));
        }
        splice(to.at, what == 1 ? 0 : to.size, what == 0 ? Bytes{} : copy);
    }

    void change_data() {
        const size_t start = aligned(header_.end);
        if (start + 8 >= bytes_.size()) {
            return;
        }
        const size_t   at    = start + below(bytes_.size() - start - 8);
        const uint64_t value = k_interesting[below(sizeof(k_interesting) / sizeof(*k_interesting))];
        std::memcpy(bytes_.data() + at, &value, below(2) == 0 ? 4 : 2);
    }

    // Puts bytes in the place of others in the header, and the data on its alignment again.
    void splice(size_t at, size_t size, const Bytes & put) {
        const size_t data = std::min(aligned(header_.end), bytes_.size());
        Bytes        tail(bytes_.begin() + (std::ptrdiff_t) data, bytes_.end());
        bytes_.resize(std::min(header_.end, bytes_.size()));
        bytes_.erase(bytes_.begin() + (std::ptrdiff_t) at, bytes_.begin() + (std::ptrdiff_t) (at + size));
        bytes_.insert(bytes_.begin() + (std::ptrdiff_t) at, put.begin(), put.end());
        bytes_.resize(aligned(bytes_.size()));
        bytes_.insert(bytes_.end(), tail.begin(), tail.end());
    }

    Bytes &      bytes_;
    std::mt19937 random_;
    Header       header_;
};

}  // namespace

}  // namespace omni::fuzz

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t * data, size_t size, size_t max_size, unsigned seed) {
    if (seed % 8 == 0) {
        return LLVMFuzzerMutate(data, size, max_size);
    }
    std::vector<uint8_t> bytes(data, data + size);
    for (unsigned i = 0; i <= seed / 8 % 3; ++i) {
        omni::fuzz::Mutation(bytes, seed + i).apply();
    }
    if (bytes.empty() || bytes.size() > max_size) {
        return LLVMFuzzerMutate(data, size, max_size);
    }
    std::copy(bytes.begin(), bytes.end(), data);
    return bytes.size();
}

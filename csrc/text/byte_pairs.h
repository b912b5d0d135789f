// Byte-pair encoding: a piece's bytes, merged pair by pair in the order of the merges' ranks.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace omni {

class BytePairs {
  public:
    struct Merge {
        int32_t left, right;  // tokens
        int32_t whole;
    };

    // `bytes`: the token of each byte. `merges`: in the order of their rank; of equal pairs the last counts.
    BytePairs(const std::array<int32_t, 256> & bytes, const std::vector<Merge> & merges);

    // Appends the tokens of a piece.
    void encode(std::string_view piece, std::vector<int32_t> & out) const;

  private:
    struct Slot {
        uint64_t pair;
        int32_t  rank;
        int32_t  whole;
    };

    const Slot * find(int32_t left, int32_t right) const;

    // Merges n tokens where they are; returns how many are left.
    size_t merge_short(int32_t * tokens, size_t n) const;
    size_t merge_long(int32_t * tokens, size_t n) const;

    std::array<int32_t, 256> bytes_;
    std::vector<Slot>        slots_;  // open addressing, a power of two
};

}  // namespace omni

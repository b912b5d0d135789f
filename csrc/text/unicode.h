// Code points: reading them from UTF-8, their classes, and normalisation to NFC.
//
// The tables are written while building (unicode_tables.py).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace omni {

enum class CharClass : uint8_t { other, letter, number, space };

struct CodePoint {
    uint32_t value;
    uint32_t size;  // bytes of UTF-8
};

CharClass class_of(uint32_t code);

// The byte at which `text` stops being UTF-8, or npos.
size_t find_invalid_utf8(std::string_view text);

// Bytes at the end of `text` that may be the beginning of a code point: 0 to 3.
size_t unfinished_utf8(std::string_view text);

// The code point at a byte of valid UTF-8 where one begins.
CodePoint code_point_at(std::string_view text, size_t at);

void append_utf8(std::string & text, uint32_t code);

// What is no UTF-8 becomes U+FFFD, one for each longest beginning of a code point.
std::string with_replacements(std::string_view bytes);

// Whether valid UTF-8 is surely what `to_nfc` makes of it.
bool is_nfc(std::string_view text);

// Canonical composition of valid UTF-8.
std::string to_nfc(std::string_view text);

// Bytes of valid UTF-8 that nothing behind them can change when it is normalised.
size_t settled_by_nfc(std::string_view text);

}  // namespace omni

#include "text/byte_letters.h"

#include <array>

#include "text/unicode.h"

namespace omni {

namespace {

bool stands_for_itself(uint32_t byte) {
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

struct Letters {
    std::array<uint32_t, 256> of_byte{};
    std::array<int, 324>      byte_of{};  // by code point, -1: none

    Letters() {
        byte_of.fill(-1);
        uint32_t next = 0x100;
        for (uint32_t byte = 0; byte < 256; ++byte) {
            of_byte[byte]          = stands_for_itself(byte) ? byte : next++;
            byte_of[of_byte[byte]] = (int) byte;
        }
    }
};

const Letters & letters() {
    static const Letters table;
    return table;
}

}  // namespace

std::string byte_letter(uint8_t byte) {
    std::string letter;
    append_utf8(letter, letters().of_byte[byte]);
    return letter;
}

std::string bytes_of_letters(std::string_view token) {
    std::string bytes;
    bytes.reserve(token.size());
    for (size_t at = 0; at < token.size();) {
        const CodePoint letter = code_point_at(token, at);
        const int       byte   = letter.value < letters().byte_of.size() ? letters().byte_of[letter.value] : -1;
        if (byte < 0) {
            return std::string(token);
        }
        bytes.push_back((char) byte);
        at += letter.size;
    }
    return bytes;
}

}  // namespace omni

// The printable letters that stand for bytes in a byte-level vocabulary.
//
// GPT-2's mapping: what is printable in Latin-1 stands for itself, the others for the code points from U+0100 on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace omni {

// UTF-8 of the letter of each byte.
std::string byte_letter(uint8_t byte);

// The bytes that the letters of a token stand for; the token as it is where one of them is no such letter.
std::string bytes_of_letters(std::string_view token);

}  // namespace omni

#include "error/quote.h"

namespace omni {

namespace {

constexpr size_t k_longest_quote = 80;

}  // namespace

std::string shortened(const std::string & text) {
    if (text.size() <= k_longest_quote) {
        return text;
    }
    size_t end = k_longest_quote;
    while (end > 0 && ((unsigned char) text[end] & 0xC0) == 0x80) {
        --end;
    }
    return text.substr(0, end) + "...";
}

}  // namespace omni

#include "text/unicode.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "unicode_tables.h"

namespace omni {

namespace {

constexpr uint8_t k_class_bits = 3;
constexpr uint8_t k_unstable   = 4;
constexpr uint8_t k_joins      = 8;

constexpr uint32_t k_replacement = 0xFFFD;

// Hangul is composed by arithmetic (the Unicode Standard, section 3.12).
constexpr uint32_t k_syllable  = 0xAC00;
constexpr uint32_t k_leading   = 0x1100;
constexpr uint32_t k_vowel     = 0x1161;
constexpr uint32_t k_trailing  = 0x11A7;
constexpr uint32_t n_leading   = 19;
constexpr uint32_t n_vowel     = 21;
constexpr uint32_t n_trailing  = 28;
constexpr uint32_t n_syllables = n_leading * n_vowel * n_trailing;

uint8_t properties_of(uint32_t code) {
    return k_unicode_blocks[(size_t) k_unicode_index[code >> 8] * 256 + (code & 0xFF)];
}

uint32_t combining_class(uint32_t code) {
    const auto * found =
        std::lower_bound(std::begin(k_combining_classes), std::end(k_combining_classes), code,
                         [](const CombiningClass & entry, uint32_t value) { return entry.code < value; });
    return found != std::end(k_combining_classes) && found->code == code ? found->value : 0;
}

const Decomposition * decomposition_of(uint32_t code) {
    const auto * found =
        std::lower_bound(std::begin(k_decompositions), std::end(k_decompositions), code,
                         [](const Decomposition & entry, uint32_t value) { return entry.code < value; });
    return found != std::end(k_decompositions) && found->code == code ? found : nullptr;
}

// 0: the two don't compose.
uint32_t composition_of(uint32_t first, uint32_t second) {
    if (first - k_leading < n_leading && second - k_vowel < n_vowel) {
        return k_syllable + ((first - k_leading) * n_vowel + (second - k_vowel)) * n_trailing;
    }
    if (first - k_syllable < n_syllables && (first - k_syllable) % n_trailing == 0 && second > k_trailing &&
        second - k_trailing < n_trailing) {
        return first + (second - k_trailing);
    }
    const auto * found = std::lower_bound(std::begin(k_compositions), std::end(k_compositions),
                                          std::pair<uint32_t, uint32_t>{ first, second },
                                          [](const Decomposition & entry, const std::pair<uint32_t, uint32_t> & parts) {
                                              return std::pair{ entry.first, entry.second } < parts;
                                          });
    const bool   here  = found != std::end(k_compositions) && found->first == first && found->second == second;
    return here ? found->code : 0;
}

void decompose(std::vector<uint32_t> & out, uint32_t code) {
    if (code - k_syllable < n_syllables) {
        const uint32_t index = code - k_syllable;
        out.push_back(k_leading + index / (n_vowel * n_trailing));
        out.push_back(k_vowel + index / n_trailing % n_vowel);
        if (index % n_trailing != 0) {
            out.push_back(k_trailing + index % n_trailing);
        }
        return;
    }
    const Decomposition * parts = decomposition_of(code);
    if (parts == nullptr) {
        out.push_back(code);
        return;
    }
    decompose(out, parts->first);
    if (parts->second != 0) {
        out.push_back(parts->second);
    }
}

// Marks between two that are none stand in the order of their classes.
void order_marks(std::vector<uint32_t> & codes) {
    const auto is_mark = [](uint32_t code) { return combining_class(code) != 0; };
    for (auto first = codes.begin(); first != codes.end();) {
        first           = std::find_if(first, codes.end(), is_mark);
        const auto last = std::find_if_not(first, codes.end(), is_mark);
        std::stable_sort(first, last, [](uint32_t a, uint32_t b) { return combining_class(a) < combining_class(b); });
        first = last;
    }
}

std::vector<uint32_t> compose(const std::vector<uint32_t> & codes) {
    constexpr size_t      k_none = (size_t) -1;
    std::vector<uint32_t> out;
    size_t                starter   = k_none;
    uint32_t              last_mark = 0;  // the class of the mark before, since the starter
    for (const uint32_t code : codes) {
        const uint32_t mark     = combining_class(code);
        const bool     adjacent = starter != k_none && starter + 1 == out.size();
        if (starter != k_none && (adjacent || (last_mark < mark && last_mark != 0))) {
            const uint32_t whole = composition_of(out[starter], code);
            if (whole != 0) {
                out[starter] = whole;
                continue;
            }
        }
        out.push_back(code);
        if (mark == 0) {
            starter = out.size() - 1;
        }
        last_mark = mark;
    }
    return out;
}

// Bytes of a code point by its first, 0 for one that none begins with; `low` and `high` bound the second.
size_t sequence_of(unsigned char first, unsigned char & low, unsigned char & high) {
    low  = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (first < 0x80) {
        return 1;
    }
    if (first < 0xC2 || first > 0xF4) {
        return 0;
    }
    return first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

// Of the code point at `at`, the bytes that are right; `whole`: whether that is all of it.
size_t valid_bytes(std::string_view text, size_t at, bool & whole) {
    unsigned char low  = 0;
    unsigned char high = 0;
    const size_t  size = sequence_of((unsigned char) text[at], low, high);
    size_t        n    = size > 0 ? 1 : 0;
    while (n < size && at + n < text.size()) {
        const auto next = (unsigned char) text[at + n];
        if (next < (n == 1 ? low : 0x80) || next > (n == 1 ? high : 0xBF)) {
            break;
        }
        ++n;
    }
    whole = size > 0 && n == size;
    return n;
}

}  // namespace

CharClass class_of(uint32_t code) {
    return (CharClass) (properties_of(code) & k_class_bits);
}

size_t find_invalid_utf8(std::string_view text) {
    for (size_t at = 0; at < text.size();) {
        if ((unsigned char) text[at] < 0x80) {
            ++at;
            continue;
        }
        bool         whole = false;
        const size_t size  = valid_bytes(text, at, whole);
        if (!whole) {
            return at;
        }
        at += size;
    }
    return std::string_view::npos;
}

size_t unfinished_utf8(std::string_view text) {
    for (size_t back = 1; back <= std::min<size_t>(3, text.size()); ++back) {
        const size_t at = text.size() - back;
        if (((unsigned char) text[at] & 0xC0) == 0x80) {
            continue;
        }
        bool         whole = false;
        const size_t size  = valid_bytes(text, at, whole);
        return !whole && size == back ? back : 0;
    }
    return 0;
}

CodePoint code_point_at(std::string_view text, size_t at) {
    const auto byte = [&](size_t i) { return (uint32_t) (unsigned char) text[at + i]; };
    const auto tail = [&](size_t i) { return byte(i) & 0x3F; };
    if (byte(0) < 0x80) {
        return { byte(0), 1 };
    }
    if (byte(0) < 0xE0) {
        return { (byte(0) & 0x1F) << 6 | tail(1), 2 };
    }
    if (byte(0) < 0xF0) {
        return { (byte(0) & 0x0F) << 12 | tail(1) << 6 | tail(2), 3 };
    }
    return { (byte(0) & 0x07) << 18 | tail(1) << 12 | tail(2) << 6 | tail(3), 4 };
}

void append_utf8(std::string & text, uint32_t code) {
    const auto tail = [&](int shift) { text.push_back((char) (0x80 | (code >> shift & 0x3F))); };
    if (code < 0x80) {
        text.push_back((char) code);
    } else if (code < 0x800) {
        text.push_back((char) (0xC0 | code >> 6));
        tail(0);
    } else if (code < 0x10000) {
        text.push_back((char) (0xE0 | code >> 12));
        tail(6);
        tail(0);
    } else {
        text.push_back((char) (0xF0 | code >> 18));
        tail(12);
        tail(6);
        tail(0);
    }
}

std::string with_replacements(std::string_view bytes) {
    std::string out;
    out.reserve(bytes.size());
    for (size_t at = 0; at < bytes.size();) {
        bool         whole = false;
        const size_t size  = valid_bytes(bytes, at, whole);
        if (whole) {
            out.append(bytes.substr(at, size));
        } else {
            append_utf8(out, k_replacement);
        }
        at += std::max<size_t>(size, 1);
    }
    return out;
}

bool is_nfc(std::string_view text) {
    for (size_t at = 0; at < text.size();) {
        const CodePoint code = code_point_at(text, at);
        if (code.value >= 0x80 && (properties_of(code.value) & k_unstable) != 0) {
            return false;
        }
        at += code.size;
    }
    return true;
}

std::string to_nfc(std::string_view text) {
    if (is_nfc(text)) {
        return std::string(text);
    }
    std::vector<uint32_t> codes;
    for (size_t at = 0; at < text.size();) {
        const CodePoint code = code_point_at(text, at);
        decompose(codes, code.value);
        at += code.size;
    }
    order_marks(codes);
    std::string out;
    out.reserve(text.size());
    for (const uint32_t code : compose(codes)) {
        append_utf8(out, code);
    }
    return out;
}

size_t settled_by_nfc(std::string_view text) {
    size_t end = text.size();
    while (end > 0) {
        size_t start = end - 1;
        while (((unsigned char) text[start] & 0xC0) == 0x80) {
            --start;
        }
        const uint8_t properties = properties_of(code_point_at(text, start).value);
        if ((properties & k_unstable) == 0) {
            return (properties & k_joins) == 0 ? end : start;
        }
        end = start;
    }
    return 0;
}

}  // namespace omni

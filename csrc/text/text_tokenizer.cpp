#include "text/text_tokenizer.h"

#include <limits>

#include "error/error.h"
#include "text/byte_letters.h"
#include "text/splitting.h"
#include "text/unicode.h"

namespace omni {

namespace {

const std::string k_keys = "tokenizer.ggml.";

std::array<int32_t, 256> byte_tokens(const std::unordered_map<std::string_view, int32_t> & ids) {
    std::array<int32_t, 256> tokens{};
    int                      missing = 0;
    for (int byte = 0; byte < 256; ++byte) {
        const auto found = ids.find(byte_letter((uint8_t) byte));
        if (found == ids.end()) {
            ++missing;
        } else {
            tokens[(size_t) byte] = found->second;
        }
    }
    if (missing > 0) {
        throw Error(ErrorKind::file, "the file's vocabulary lacks " + std::to_string(missing) +
                                         " of the 256 byte letters: it is not byte-level");
    }
    return tokens;
}

void check_fit(const Vocabulary & vocabulary) {
    if (!is_known_split_rule(vocabulary.rule)) {
        throw Error(ErrorKind::file, "tokenizer.ggml.pre is '" + vocabulary.rule +
                                         "': the splitting rules known here are " + known_split_rules());
    }
    if (vocabulary.tokens.size() != vocabulary.kinds.size()) {
        throw Error(ErrorKind::file, "the file has " + std::to_string(vocabulary.tokens.size()) + " tokens and " +
                                         std::to_string(vocabulary.kinds.size()) + " token types");
    }
    if (vocabulary.tokens.size() > (size_t) std::numeric_limits<int32_t>::max()) {
        throw Error(ErrorKind::file, "the file's vocabulary is too large");
    }
}

}  // namespace

Vocabulary read_vocabulary(const GgufFile & file) {
    Vocabulary out;
    out.tokens = file.strings(k_keys + "tokens");
    out.merges = file.strings(k_keys + "merges");
    out.rule   = file.find(k_keys + "pre") != nullptr ? file.string(k_keys + "pre") : "qwen2";
    out.kinds =
        file.integers(k_keys + "token_type", std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max());
    return out;
}

void refuse_utf8(size_t at) {
    throw Error(ErrorKind::input,
                "the text is not valid UTF-8 at byte " + std::to_string(at) + ": it can't be encoded");
}

void check_utf8(std::string_view text) {
    const size_t invalid = find_invalid_utf8(text);
    if (invalid != std::string_view::npos) {
        refuse_utf8(invalid);
    }
}

TextTokenizer::TextTokenizer(Vocabulary vocabulary) :
    vocabulary_(std::move(vocabulary)),
    control_({}),
    user_defined_({}) {
    check_fit(vocabulary_);
    ids_.reserve(vocabulary_.tokens.size());
    size_t used = 0;
    for (size_t id = 0; id < vocabulary_.tokens.size(); ++id) {
        std::string & token = vocabulary_.tokens[id];
        if (find_invalid_utf8(token) != std::string_view::npos) {
            token = with_replacements(token);
        }
        if (!is_kind(id, TokenKind::unused)) {
            ids_[token] = (int32_t) id;
            ++used;
        }
    }
    if (ids_.size() != used) {
        throw Error(ErrorKind::file,
                    std::to_string(used - ids_.size()) + " tokens of the file's vocabulary occur twice");
    }
    const auto                    bytes = byte_tokens(ids_);
    std::vector<BytePairs::Merge> merges;
    merges.reserve(vocabulary_.merges.size());
    for (const auto & merge : vocabulary_.merges) {
        merges.push_back(merge_of(merge));
    }
    pairs_ = std::make_unique<BytePairs>(bytes, merges);
    vocabulary_.merges.clear();
    vocabulary_.merges.shrink_to_fit();
    control_      = of_kind(TokenKind::control);
    user_defined_ = of_kind(TokenKind::user_defined);
}

int32_t TextTokenizer::find(std::string_view token) const {
    const auto found = ids_.find(token);
    return found != ids_.end() ? found->second : -1;
}

BytePairs::Merge TextTokenizer::merge_of(const std::string & merge) const {
    const size_t space = merge.find(' ');
    if (space == std::string::npos || space == 0 || space + 1 == merge.size() ||
        merge.find(' ', space + 1) != std::string::npos) {
        throw Error(ErrorKind::file, "the merge '" + merge + "' is not two tokens with a space between");
    }
    const std::string_view left(merge.data(), space);
    const std::string_view right = std::string_view(merge).substr(space + 1);
    return { require(left, merge), require(right, merge), require(std::string(left).append(right), merge) };
}

int32_t TextTokenizer::require(std::string_view token, const std::string & merge) const {
    const int32_t id = find(token);
    if (id < 0) {
        throw Error(ErrorKind::file, "the file's vocabulary and merges don't fit each other: the merge '" + merge +
                                         "' needs the token '" + std::string(token) + "'");
    }
    return id;
}

WholeTokens TextTokenizer::of_kind(TokenKind kind) const {
    std::vector<std::pair<std::string, int32_t>> found;
    for (size_t id = 0; id < vocabulary_.tokens.size(); ++id) {
        if (is_kind(id, kind)) {
            found.emplace_back(vocabulary_.tokens[id], (int32_t) id);
        }
    }
    return WholeTokens(std::move(found));
}

std::vector<int32_t> TextTokenizer::encode(std::string_view text, bool parse_special) const {
    check_utf8(text);
    std::vector<int32_t> ids;
    size_t               from = 0;
    while (parse_special) {
        const auto found = control_.find(text, from);
        if (!found) {
            break;
        }
        encode_text(text.substr(from, found->at - from), ids);
        ids.push_back(found->id);
        from = found->at + found->size;
    }
    encode_text(text.substr(from), ids);
    return ids;
}

void TextTokenizer::encode_text(std::string_view text, std::vector<int32_t> & ids) const {
    size_t from = 0;
    while (const auto found = user_defined_.find(text, from)) {
        encode_plain(text.substr(from, found->at - from), ids);
        ids.push_back(found->id);
        from = found->at + found->size;
    }
    encode_plain(text.substr(from), ids);
}

void TextTokenizer::encode_plain(std::string_view text, std::vector<int32_t> & ids) const {
    if (is_nfc(text)) {
        encode_pieces(text, 0, true, ids);
    } else {
        encode_pieces(to_nfc(text), 0, true, ids);
    }
}

size_t TextTokenizer::encode_pieces(std::string_view text, size_t at, bool complete, std::vector<int32_t> & ids) const {
    while (at < text.size()) {
        const size_t end = piece_end(text, at, complete);
        if (end == 0) {
            break;
        }
        pairs_->encode(text.substr(at, end - at), ids);
        at = end;
    }
    return at;
}

std::string TextTokenizer::decode(const std::vector<int32_t> & ids, bool skip_special) const {
    std::string bytes;
    for (const int32_t id : ids) {
        if (id < 0 || (size_t) id >= size()) {
            throw Error(ErrorKind::input,
                        "token id " + std::to_string(id) + " is outside the vocabulary of " + std::to_string(size()));
        }
        if (is_kind((size_t) id, TokenKind::unused) || (skip_special && is_kind((size_t) id, TokenKind::control))) {
            continue;
        }
        bytes += bytes_of_letters(vocabulary_.tokens[(size_t) id]);
    }
    return with_replacements(bytes);
}

}  // namespace omni

// Text to token ids and back: a byte-level vocabulary with its merges, from a GGUF file's `tokenizer.*` keys.
//
// The same ids as the `tokenizers` library gives with NFC, Qwen2's splitting rule and byte-level BPE.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "gguf/gguf_file.h"
#include "text/byte_pairs.h"
#include "text/whole_tokens.h"

namespace omni {

struct Vocabulary {
    std::vector<std::string> tokens;  // by id, in byte letters
    std::vector<int64_t>     kinds;   // llama.cpp's numbers, see TokenKind
    std::vector<std::string> merges;  // "left right", in the order of their rank
    std::string              rule;    // how text is split before it is merged
};

enum class TokenKind : int64_t { control = 3, user_defined = 4, unused = 5 };

// Of a file. Throws Error(file) where a key is missing or of a type that a tokenizer doesn't have.
Vocabulary read_vocabulary(const GgufFile & file);

// Immutable; threads may share one.
class TextTokenizer {
  public:
    // Throws Error(file) where the parts don't fit each other.
    explicit TextTokenizer(Vocabulary vocabulary);

    // Ids of UTF-8. Control tokens are found only with `parse_special`; else they are letters like any others.
    // Throws Error(input) for what is no UTF-8.
    std::vector<int32_t> encode(std::string_view text, bool parse_special) const;

    // UTF-8 of ids, U+FFFD for bytes that are none; ids without a token are nothing. Throws Error(input) for ids
    // outside the vocabulary.
    std::string decode(const std::vector<int32_t> & ids, bool skip_special) const;

    // The id of a token's exact text, -1 where there is no such token.
    int32_t find(std::string_view token) const;

    size_t size() const { return vocabulary_.tokens.size(); }

  private:
    friend class TokenStream;

    int32_t          require(std::string_view token, const std::string & merge) const;
    BytePairs::Merge merge_of(const std::string & merge) const;
    WholeTokens      of_kind(TokenKind kind) const;
    bool             is_kind(size_t id, TokenKind kind) const { return vocabulary_.kinds[id] == (int64_t) kind; }

    void encode_text(std::string_view text, std::vector<int32_t> & ids) const;   // without control tokens
    void encode_plain(std::string_view text, std::vector<int32_t> & ids) const;  // without whole tokens at all

    // The pieces of normalised text from `at` on that nothing behind it changes, or all where it is complete; returns
    // where they end.
    size_t encode_pieces(std::string_view text, size_t at, bool complete, std::vector<int32_t> & ids) const;

    Vocabulary                                    vocabulary_;
    std::unordered_map<std::string_view, int32_t> ids_;  // of `vocabulary_.tokens`
    std::unique_ptr<BytePairs>                    pairs_;
    WholeTokens                                   control_;
    WholeTokens                                   user_defined_;
};

// Throws Error(input) that says so of a byte.
[[noreturn]] void refuse_utf8(size_t at);

// Throws Error(input) for text that is no UTF-8.
void check_utf8(std::string_view text);

}  // namespace omni

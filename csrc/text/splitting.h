// Splits text into the pieces in which tokens are merged, by the rule of Qwen2's tokenizer.
//
// The rule is a regular expression, matched piece after piece; of its alternatives the first that fits counts:
//
//     (?i:'s|'t|'re|'ve|'m|'ll|'d)      contractions
//     [^\r\n\p{L}\p{N}]?\p{L}+          letters, with one other character before them
//     \p{N}                             single digits
//      ?[^\s\p{L}\p{N}]+[\r\n]*         marks, with a space before and line ends behind them
//     \s*[\r\n]+                        spaces up to the last line end
//     \s+(?!\S)                         spaces, but for the one that belongs to the next piece
//     \s+
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace omni {

// Whether a file's `tokenizer.ggml.pre` names the rule.
bool is_known_split_rule(const std::string & name);

// The names of all, with commas.
std::string known_split_rules();

// The end of the piece of valid UTF-8 that begins at byte `at`. Where `complete` is false the text goes on behind its
// end: 0 where the piece may then be another.
size_t piece_end(std::string_view text, size_t at, bool complete);

}  // namespace omni

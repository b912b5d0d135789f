#include "text/whole_tokens.h"

#include <algorithm>

namespace omni {

WholeTokens::WholeTokens(std::vector<std::pair<std::string, int32_t>> tokens) : tokens_(std::move(tokens)) {
    tokens_.erase(
        std::remove_if(tokens_.begin(), tokens_.end(), [](const auto & token) { return token.first.empty(); }),
        tokens_.end());
    std::sort(tokens_.begin(), tokens_.end());
}

std::optional<WholeTokens::Found> WholeTokens::match(std::string_view text, size_t at, bool & reaches_end) const {
    std::optional<Found> found;
    auto                 low  = tokens_.begin();
    auto                 high = tokens_.end();
    reaches_end               = false;
    // From here on `low` to `high` are the tokens that begin with the `n` bytes at `at`.
    for (size_t n = 0;; ++n) {
        if (low != high && low->first.size() == n && n > 0) {
            found = Found{ at, n, low->second };
            ++low;
        }
        if (low == high || at + n == text.size()) {
            reaches_end = low != high;
            return found;
        }
        const auto byte = (unsigned char) text[at + n];
        low             = std::lower_bound(low, high, byte, [n](const auto & token, unsigned char value) {
            return (unsigned char) token.first[n] < value;
        });
        high            = std::upper_bound(low, high, byte, [n](unsigned char value, const auto & token) {
            return value < (unsigned char) token.first[n];
        });
    }
}

std::optional<WholeTokens::Found> WholeTokens::find(std::string_view text, size_t from) const {
    bool reaches_end = false;
    for (size_t at = from; at < text.size() && !tokens_.empty(); ++at) {
        const auto found = match(text, at, reaches_end);
        if (found) {
            return found;
        }
    }
    return std::nullopt;
}

size_t WholeTokens::unfinished(std::string_view text, size_t from) const {
    for (size_t at = from; at < text.size() && !tokens_.empty(); ++at) {
        bool reaches_end = false;
        match(text, at, reaches_end);
        if (reaches_end) {
            return at;
        }
    }
    return text.size();
}

}  // namespace omni

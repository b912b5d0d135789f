// Tokens that are found in a text as a whole, before it is split: the leftmost, of several there the longest.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace omni {

class WholeTokens {
  public:
    struct Found {
        size_t  at;
        size_t  size;
        int32_t id;
    };

    // Text and id; empty texts are left out.
    explicit WholeTokens(std::vector<std::pair<std::string, int32_t>> tokens);

    // The first at or behind byte `from`.
    std::optional<Found> find(std::string_view text, size_t from) const;

    // Where a token may begin that goes on behind the end of the text; its size where none does.
    size_t unfinished(std::string_view text, size_t from) const;

  private:
    // The longest at one byte; `reaches_end`: whether a longer one may be there behind the end of the text.
    std::optional<Found> match(std::string_view text, size_t at, bool & reaches_end) const;

    std::vector<std::pair<std::string, int32_t>> tokens_;  // sorted
};

}  // namespace omni

// Text to token ids as it is written: the ids are those of the whole text at once.
//
// Held back is what later text may still change: the last word until something follows it, spaces until it is known
// what they stand before, a letter that marks may join, the beginning of a token that is found whole. With ordinary
// text that is the last word and the spaces behind it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/text_tokenizer.h"

namespace omni {

class TokenStream {
  public:
    explicit TokenStream(std::shared_ptr<const TextTokenizer> tokenizer) : tokenizer_(std::move(tokenizer)) {}

    // The ids that are certain by now and were not before. A character may be cut anywhere. Throws Error(input) for
    // what is no UTF-8, and then nothing was taken.
    std::vector<int32_t> feed(std::string_view text);

    // The rest of the ids. Throws Error(input) where a character was cut; another text may follow.
    std::vector<int32_t> finish();

    // Leaves out the beginning of a character at the end of what was fed, where `text`, sound by itself, doesn't go on
    // with it. Whether there was such a thing.
    bool leave_out_cut(std::string_view text);

    // The same, where no text follows.
    bool leave_out_cut();

    // Bytes held back.
    size_t held() const { return raw_.size() + normalised_.size(); }

  private:
    void take_whole_tokens(std::vector<int32_t> & ids);
    void complete(size_t end, std::vector<int32_t> & ids);

    std::shared_ptr<const TextTokenizer> tokenizer_;
    std::string                          raw_;         // as it came
    std::string                          normalised_;  // what came before that, and is in no token yet
};

}  // namespace omni

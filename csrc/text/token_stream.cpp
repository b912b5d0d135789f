#include "text/token_stream.h"

#include <algorithm>

#include "error/error.h"
#include "text/unicode.h"

namespace omni {

namespace {

// Where `text` is wrong, but for a character that is cut at its end; npos where it isn't.
size_t wrong_byte(std::string_view text) {
    return find_invalid_utf8(text.substr(0, text.size() - unfinished_utf8(text)));
}

}  // namespace

std::vector<int32_t> TokenStream::feed(std::string_view text) {
    std::string  all  = raw_ + std::string(text);
    const size_t tail = unfinished_utf8(all);
    const size_t held = raw_.size();
    const size_t at   = wrong_byte(all);
    if (at != std::string_view::npos) {
        refuse_utf8(at > held ? at - held : 0);  // of what the caller fed now
    }
    raw_ = std::move(all);

    std::vector<int32_t> ids;
    take_whole_tokens(ids);
    const std::string_view sound = std::string_view(raw_).substr(0, raw_.size() - tail);
    const size_t           plain = tokenizer_->user_defined_.unfinished(sound, 0);
    const size_t           end   = settled_by_nfc(sound.substr(0, plain));
    normalised_ += to_nfc(sound.substr(0, end));
    raw_.erase(0, end);
    normalised_.erase(0, tokenizer_->encode_pieces(normalised_, 0, false, ids));
    return ids;
}

// Up to the first that may be a longer one.
void TokenStream::take_whole_tokens(std::vector<int32_t> & ids) {
    const WholeTokens & tokens = tokenizer_->user_defined_;
    while (const auto found = tokens.find(raw_, 0)) {
        if (tokens.unfinished(raw_, 0) <= found->at) {
            break;
        }
        complete(found->at, ids);
        raw_.erase(0, found->size);
        ids.push_back(found->id);
    }
}

// The text up to byte `end` of the raw one has come to its end.
void TokenStream::complete(size_t end, std::vector<int32_t> & ids) {
    normalised_ += to_nfc(std::string_view(raw_).substr(0, end));
    raw_.erase(0, end);
    tokenizer_->encode_pieces(normalised_, 0, true, ids);
    normalised_.clear();
}

bool TokenStream::leave_out_cut(std::string_view text) {
    const bool cut = !text.empty() && unfinished_utf8(raw_) > 0 && wrong_byte(text) == std::string_view::npos &&
                     wrong_byte(raw_ + std::string(text)) != std::string_view::npos;
    return cut && leave_out_cut();
}

bool TokenStream::leave_out_cut() {
    const size_t tail = unfinished_utf8(raw_);
    raw_.resize(raw_.size() - tail);
    return tail > 0;
}

std::vector<int32_t> TokenStream::finish() {
    if (unfinished_utf8(raw_) > 0) {
        throw Error(ErrorKind::input, "the text is not valid UTF-8: it ends inside a character");
    }
    std::vector<int32_t> ids;
    while (const auto found = tokenizer_->user_defined_.find(raw_, 0)) {
        complete(found->at, ids);
        raw_.erase(0, found->size);
        ids.push_back(found->id);
    }
    complete(raw_.size(), ids);
    return ids;
}

}  // namespace omni

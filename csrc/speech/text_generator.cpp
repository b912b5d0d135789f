#include "speech/text_generator.h"

#include "error/error.h"
#include "speech/philox.h"

namespace omni {

namespace {

// Keeps the thinker's draws apart from a speech's, whose second counter is the code group.
constexpr uint64_t k_text_stream = ~0ull;

}  // namespace

TextGenerator::TextGenerator(std::shared_ptr<ThinkerSession> session, const std::vector<int32_t> & prompt,
                             TextParams params, const ThinkerMedia & media) :
    session_(std::move(session)),
    params_(std::move(params)),
    sampler_(params_.sampling),
    tokens_(prompt),
    n_prompt_(prompt.size()) {
    if (params_.max_tokens < 0) {
        throw Error(ErrorKind::input,
                    "the token limit is " + std::to_string(params_.max_tokens) + "; it must be 0 or more");
    }
    ThinkerOutput read = session_->forward(prompt, false, params_.want_hidden, media);
    logits_            = std::move(read.logits);
    prompt_hidden_     = std::move(read.hidden);
}

int32_t TextGenerator::next() {
    if (stop_ != TextStop::none) {
        return -1;
    }
    const auto drawn = (int64_t) (tokens_.size() - n_prompt_);
    if (drawn >= params_.max_tokens) {
        stop_ = TextStop::token_limit;
        return -1;
    }
    // The token drawn last is read only now, so that the answer's last token costs nothing.
    if (drawn > 0) {
        if (session_->full()) {
            stop_ = TextStop::context_full;
            return -1;
        }
        logits_ = session_->forward({ tokens_.back() }, false, false).logits;
    }
    const double  uniform = philox_uniform(params_.seed, (uint64_t) drawn, k_text_stream);
    const int32_t token   = sampler_.draw(logits_, tokens_, uniform);
    if (params_.stop_tokens.count(token) > 0) {
        stop_ = TextStop::stop_token;
        return -1;
    }
    tokens_.push_back(token);
    return token;
}

}  // namespace omni

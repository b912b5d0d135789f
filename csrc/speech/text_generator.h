// The thinker's answer, token by token.
#pragma once

#include <memory>
#include <set>
#include <vector>

#include "models/thinker.h"
#include "speech/sampler.h"

namespace omni {

struct TextParams {
    SamplingParams    sampling;
    uint64_t          seed       = 0;
    int64_t           max_tokens = 1024;
    std::set<int32_t> stop_tokens;
    bool              want_hidden = false;  // of the prompt, for a talker
};

enum class TextStop { none, stop_token, token_limit, context_full };

class TextGenerator {
  public:
    // Reads the prompt. Throws Error(input) when the session's context can't hold it.
    TextGenerator(std::shared_ptr<ThinkerSession> session, const std::vector<int32_t> & prompt, TextParams params,
                  const ThinkerMedia & media = {});

    // The next token, or -1 at the end. A stop token is not part of the answer.
    int32_t next();

    TextStop stop_reason() const { return stop_; }

    const ThinkerSession & session() const { return *session_; }

    // [prompt, hidden]: what a talker reads of the prompt; empty unless asked for.
    const std::vector<float> & prompt_hidden() const { return prompt_hidden_; }

  private:
    std::shared_ptr<ThinkerSession> session_;
    TextParams                      params_;
    Sampler                         sampler_;
    std::vector<float>              logits_;
    std::vector<float>              prompt_hidden_;
    std::vector<int32_t>            tokens_;  // prompt and answer, for the repetition penalty
    size_t                          n_prompt_;
    TextStop                        stop_ = TextStop::none;
};

}  // namespace omni

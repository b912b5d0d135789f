// What the talker reads before and while it speaks.
//
// Reference: Qwen3OmniMoeForConditionalGeneration.generate, _get_talker_user_parts, _get_talker_assistant_parts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/talker.h"
#include "speech/text_tokens.h"

namespace omni {

struct TalkerPrompt {
    std::vector<float> inputs;    // [n, hidden]: the user's segments, then nine positions
    std::vector<float> trailing;  // [m, hidden]: text that enters one position a frame, tts_eos last
    std::vector<float> pad;       // [hidden]: what enters once the text is used up
};

// `conversation`: token ids up to and including the header of the answer (im_start, assistant, newline).
// `answer`: the tokens to speak, without the end of the turn; at least one.
// `thinker_hidden`: [conversation, thinker_hidden], read only at audio, image and video positions; may be empty where
// the conversation has none.
// Throws Error(input) with one sentence for a conversation without an answer's header, an empty answer, an unknown id.
TalkerPrompt assemble_prompt(TalkerSession & talker, const TalkerGeometry & geometry, const TextTokens & tokens,
                             const std::vector<int32_t> & conversation, const std::vector<int32_t> & answer,
                             int32_t speaker, const std::vector<float> & thinker_hidden);

// The codec id of a speaker, in any case. Throws Error(input) with the names there are.
int32_t find_speaker(const TalkerGeometry & geometry, const std::string & name);

}  // namespace omni

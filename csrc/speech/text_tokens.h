// The ids of the text vocabulary by which a conversation is taken apart.
#pragma once

#include <cstdint>
#include <string>

#include "gguf/gguf_file.h"

namespace omni {

struct TextTokens {
    int32_t tts_pad, tts_bos, tts_eos, im_start, im_end, system, user, assistant, audio, image, video;
};

// Reads `prefix` + tts_pad and so on. Throws Error(file) for an id outside of the vocabulary.
TextTokens read_text_tokens(const GgufFile & file, const std::string & prefix, int64_t vocab);

}  // namespace omni

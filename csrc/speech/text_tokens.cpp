#include "speech/text_tokens.h"

namespace omni {

TextTokens read_text_tokens(const GgufFile & file, const std::string & prefix, int64_t vocab) {
    const auto id = [&](const char * name) { return (int32_t) file.integer(prefix + name, 0, vocab - 1); };
    TextTokens t{};
    t.tts_pad   = id("tts_pad");
    t.tts_bos   = id("tts_bos");
    t.tts_eos   = id("tts_eos");
    t.im_start  = id("im_start");
    t.im_end    = id("im_end");
    t.system    = id("system");
    t.user      = id("user");
    t.assistant = id("assistant");
    t.audio     = id("audio");
    t.image     = id("image");
    t.video     = id("video");
    return t;
}

}  // namespace omni

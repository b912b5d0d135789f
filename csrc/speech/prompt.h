// What the talker reads before and while it speaks.
//
// Reference: Qwen3OmniMoeForConditionalGeneration.generate, _get_talker_user_parts, _get_talker_assistant_parts.
#pragma once

#include <cstdint>
#include <vector>

#include "models/rope_positions.h"
#include "models/talker.h"
#include "speech/speaker.h"
#include "speech/text_tokens.h"

namespace omni {

struct TalkerPrompt {
    std::vector<float> inputs;    // [n, hidden]: the user's segments, then nine positions
    std::vector<float> trailing;  // [m, hidden]: text that enters one position a frame, tts_eos last
    std::vector<float> pad;       // [hidden]: what enters once the text is used up
    AxisPositions      places;    // of the inputs; none: one after the other
};

// What the thinker made of a conversation that is more than text; all of it may be empty where there is nothing else.
struct ThinkerStates {
    std::vector<float> hidden;  // [conversation, thinker_hidden], read only at audio, image and video positions
    AxisPositions      places;  // of the conversation's tokens; none: one after the other
};

// `conversation`: token ids up to and including the header of the answer (im_start, assistant, newline).
// `answer`: the tokens to speak, without the end of the turn; at least one.
// Throws Error(input) with one sentence for a conversation without an answer's header, an empty answer, an unknown id.
TalkerPrompt assemble_prompt(TalkerSession & talker, const TalkerGeometry & geometry, const TextTokens & tokens,
                             const std::vector<int32_t> & conversation, const std::vector<int32_t> & answer,
                             const Speaker & speaker, const ThinkerStates & states);

// The positions before the first frame, each made when it is read: a long conversation in pieces, and the same whatever
// the pieces are.
class PromptReading {
  public:
    // `first`: the answer's first token; `alone`: whether there is no other. Throws as assemble_prompt does.
    PromptReading(const Talker & talker, const TextTokens & tokens, const std::vector<int32_t> & conversation,
                  int32_t first, bool alone, Speaker speaker, ThinkerStates states);

    // Inputs assembled elsewhere, [n, hidden] with n > 0.
    PromptReading(const Talker & talker, std::vector<float> inputs, AxisPositions places = {});

    int64_t n_positions() const { return (int64_t) positions_.size(); }

    int64_t n_read() const { return read_; }

    bool at_end() const { return n_read() == n_positions(); }

    // The next inputs, [at most n or one more, hidden]: a single position is never left behind.
    std::vector<float> next(TalkerSession & talker, int64_t n);

    // Of the inputs from `begin` to where it has read.
    AxisPositions places_from(int64_t begin) const;

  private:
    struct Position {
        int32_t token = -1;     // of the text vocabulary
        int64_t state = -1;     // or a row of thinker_hidden
        int32_t codec = -1;     // an id of the codec vocabulary that is added
        bool    voice = false;  // whether that is the speaker
        int64_t from  = -1;     // the conversation's token, of the user's
    };

    void add_user_positions(const TextTokens & tokens, const std::vector<int32_t> & conversation);
    void place(const AxisPositions & thinker);
    void add_answer_positions(const TextTokens & tokens, const std::vector<int32_t> & conversation, int32_t first);
    void add_codec(TalkerSession & talker, int64_t begin, int64_t end, std::vector<float> & inputs) const;

    std::vector<float> texts(TalkerSession & talker, int64_t begin, int64_t end) const;
    std::vector<float> states(TalkerSession & talker, int64_t begin, int64_t end) const;

    int64_t               hidden_;
    int64_t               thinker_width_;
    CodecTokens           codec_;
    std::vector<Position> positions_;
    int64_t               read_ = 0;
    std::vector<float>    given_;  // inputs assembled elsewhere
    std::vector<float>    thinker_hidden_;
    AxisPositions         places_;
    int64_t               n_states_ = 0;
    Speaker               speaker_;
    bool                  alone_ = false;
};

// What enters with the frames, each [hidden]: `pad` once the text is used up, `eos` at its end.
struct TextMarks {
    std::vector<float> pad, bos, eos;
};

TextMarks text_marks(TalkerSession & talker, const TextTokens & tokens);

// text_projection of tokens that are a part of a longer text, [n, hidden]: the same rows as in the whole.
std::vector<float> project_part(TalkerSession & talker, const std::vector<int32_t> & tokens);

}  // namespace omni

#include "speech/prompt.h"

#include <algorithm>
#include <cctype>

#include "error/error.h"

namespace omni {

namespace {

constexpr size_t k_role_tokens = 3;  // im_start, the role, a newline
constexpr size_t k_pads        = 4;

bool is_multimodal(const TextTokens & t, int32_t token) {
    return token == t.audio || token == t.image || token == t.video;
}

// Positions of user segments: the token after a segment's im_start names its role.
std::vector<size_t> user_positions(const TextTokens & t, const std::vector<int32_t> & conversation) {
    std::vector<size_t> positions;
    size_t              start = 0;
    for (size_t i = 0; i < conversation.size(); ++i) {
        if (conversation[i] == t.im_start) {
            start = i;
        }
        const size_t role = std::min(start + 1, conversation.size() - 1);
        if (conversation[role] == t.user) {
            positions.push_back(i);
        }
    }
    return positions;
}

void check_header(const TextTokens & t, const std::vector<int32_t> & conversation) {
    const size_t n = conversation.size();
    if (n < k_role_tokens || conversation[n - 3] != t.im_start || conversation[n - 2] != t.assistant) {
        throw Error(ErrorKind::input, "the conversation must end with the header of the answer (im_start, assistant, "
                                      "newline); add the generation prompt of the chat template");
    }
}

void add_rows(std::vector<float> & to, const std::vector<float> & rows) {
    to.insert(to.end(), rows.begin(), rows.end());
}

std::vector<float> row(const std::vector<float> & rows, size_t index, int64_t width) {
    const auto from = rows.begin() + (std::ptrdiff_t) ((int64_t) index * width);
    return { from, from + (std::ptrdiff_t) width };
}

// The user's part: text through text_projection, other modalities through hidden_projection.
std::vector<float> user_part(TalkerSession & talker, const TalkerGeometry & geometry, const TextTokens & tokens,
                             const std::vector<int32_t> & conversation, const std::vector<float> & thinker_hidden) {
    const int64_t        width = geometry.thinker_hidden;
    std::vector<int32_t> text;
    std::vector<float>   states;
    const auto           positions = user_positions(tokens, conversation);
    for (size_t position : positions) {
        if (!is_multimodal(tokens, conversation[position])) {
            text.push_back(conversation[position]);
        } else if ((int64_t) thinker_hidden.size() != (int64_t) conversation.size() * width) {
            throw Error(ErrorKind::input,
                        "the conversation holds audio, image or video; the talker needs the thinker's "
                        "hidden states [" +
                            std::to_string(conversation.size()) + ", " + std::to_string(width) + "]");
        } else {
            add_rows(states, row(thinker_hidden, position, width));
        }
    }
    const auto         from_text   = talker.project_text(text);
    const auto         from_states = talker.project_hidden(states);
    std::vector<float> out;
    size_t             n_text   = 0;
    size_t             n_states = 0;
    for (size_t position : positions) {
        const bool other = is_multimodal(tokens, conversation[position]);
        add_rows(out, other ? row(from_states, n_states++, geometry.decoder.hidden)
                            : row(from_text, n_text++, geometry.decoder.hidden));
    }
    return out;
}

}  // namespace

TalkerPrompt assemble_prompt(TalkerSession & talker, const TalkerGeometry & geometry, const TextTokens & t,
                             const std::vector<int32_t> & conversation, const std::vector<int32_t> & answer,
                             int32_t speaker, const std::vector<float> & thinker_hidden) {
    const CodecTokens & codec  = geometry.codec;
    const int64_t       hidden = geometry.decoder.hidden;
    check_header(t, conversation);
    if (answer.empty()) {
        throw Error(ErrorKind::input, "there is no text to speak");
    }
    const std::vector<int32_t> header(conversation.end() - k_role_tokens, conversation.end());
    const auto                 roles   = talker.project_text(header);
    const auto                 special = talker.project_text({ t.tts_pad, t.tts_bos, t.tts_eos });
    const auto                 spoken  = talker.project_text(answer);
    const auto                 codes =
        talker.embed_codec({ codec.nothink, codec.think_bos, codec.think_eos, speaker, codec.pad, codec.bos });

    TalkerPrompt prompt;
    prompt.pad    = row(special, 0, hidden);
    prompt.inputs = user_part(talker, geometry, t, conversation, thinker_hidden);

    std::vector<float> tail = roles;
    for (size_t i = 0; i < k_pads; ++i) {
        add_rows(tail, prompt.pad);
    }
    add_rows(tail, row(special, 1, hidden));
    add_rows(tail, row(spoken, 0, hidden));
    for (size_t i = 0; i < codes.size(); ++i) {
        tail[k_role_tokens * (size_t) hidden + i] += codes[i];
    }
    add_rows(prompt.inputs, tail);

    prompt.trailing.assign(spoken.begin() + (std::ptrdiff_t) hidden, spoken.end());
    add_rows(prompt.trailing, row(special, 2, hidden));
    return prompt;
}

int32_t find_speaker(const TalkerGeometry & geometry, const std::string & name) {
    const auto lower = [](std::string text) {
        std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return (char) std::tolower(c); });
        return text;
    };
    std::string known;
    for (const auto & speaker : geometry.speakers) {
        if (lower(speaker.first) == lower(name)) {
            return speaker.second;
        }
        known += (known.empty() ? "" : ", ") + speaker.first;
    }
    throw Error(ErrorKind::input, "there is no speaker \"" + name + "\"; this model has: " + known);
}

}  // namespace omni

#include "speech/prompt.h"

#include <algorithm>

#include "error/error.h"

namespace omni {

namespace {

constexpr int64_t k_role_tokens = 3;  // im_start, the role, a newline
constexpr int64_t k_pads        = 4;

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
    if (n < (size_t) k_role_tokens || conversation[n - 3] != t.im_start || conversation[n - 2] != t.assistant) {
        throw Error(ErrorKind::input, "the conversation must end with the header of the answer (im_start, assistant, "
                                      "newline); add the generation prompt of the chat template");
    }
}

template <typename T> void add_rows(std::vector<T> & to, const std::vector<T> & rows) {
    to.insert(to.end(), rows.begin(), rows.end());
}

std::vector<float> row(const std::vector<float> & rows, int64_t index, int64_t width) {
    const auto from = rows.begin() + (std::ptrdiff_t) (index * width);
    return { from, from + (std::ptrdiff_t) width };
}

// ggml multiplies a single column in another order of sums than two: a part that happens to be a single one goes twice.
template <typename T> std::vector<T> twice(const std::vector<T> & values) {
    std::vector<T> out;
    out.reserve(2 * values.size());
    add_rows(out, values);
    add_rows(out, values);
    return out;
}

}  // namespace

std::vector<float> project_part(TalkerSession & talker, const std::vector<int32_t> & tokens) {
    if (tokens.size() != 1) {
        return talker.project_text(tokens);
    }
    auto rows = talker.project_text(twice(tokens));
    rows.resize(rows.size() / 2);
    return rows;
}

TextMarks text_marks(TalkerSession & talker, const TextTokens & t) {
    const int64_t hidden = talker.talker().geometry().decoder.hidden;
    const auto    rows   = talker.project_text({ t.tts_pad, t.tts_bos, t.tts_eos });
    return { row(rows, 0, hidden), row(rows, 1, hidden), row(rows, 2, hidden) };
}

PromptReading::PromptReading(const Talker & talker, const TextTokens & t, const std::vector<int32_t> & conversation,
                             int32_t first, bool alone, Speaker speaker, ThinkerStates states) :
    hidden_(talker.geometry().decoder.hidden),
    thinker_width_(talker.geometry().thinker_hidden),
    codec_(talker.geometry().codec),
    thinker_hidden_(std::move(states.hidden)),
    speaker_(std::move(speaker)),
    alone_(alone) {
    check_header(t, conversation);
    add_user_positions(t, conversation);
    add_answer_positions(t, conversation, first);
    if (!states.places.empty()) {
        states.places.check((int64_t) conversation.size());
        place(states.places);
    }
    for (const Position & position : positions_) {
        if (position.token >= 0 || position.state < 0) {
            check_ids({ position.token }, talker.geometry().text_vocab, "vocabulary token id");
        }
    }
}

PromptReading::PromptReading(const Talker & talker, std::vector<float> inputs, AxisPositions places) :
    hidden_(talker.geometry().decoder.hidden),
    thinker_width_(talker.geometry().thinker_hidden),
    codec_(talker.geometry().codec),
    given_(std::move(inputs)),
    places_(std::move(places)) {
    if (given_.empty() || given_.size() % (size_t) hidden_ != 0) {
        throw Error(ErrorKind::input, "a talker prompt is inputs [n, " + std::to_string(hidden_) +
                                          "] with n > 0, trailing [m, " + std::to_string(hidden_) + "] and pad [" +
                                          std::to_string(hidden_) + "]");
    }
    positions_.resize(given_.size() / (size_t) hidden_);
    if (!places_.empty()) {
        places_.check(n_positions());
    }
}

// Text goes through text_projection, other modalities through hidden_projection.
void PromptReading::add_user_positions(const TextTokens & t, const std::vector<int32_t> & conversation) {
    for (const size_t at : user_positions(t, conversation)) {
        Position position;
        position.from = (int64_t) at;
        if (!is_multimodal(t, conversation[at])) {
            position.token = conversation[at];
        } else if ((int64_t) thinker_hidden_.size() != (int64_t) conversation.size() * thinker_width_) {
            throw Error(ErrorKind::input,
                        "the conversation holds audio, image or video; the talker needs the thinker's "
                        "hidden states [" +
                            std::to_string(conversation.size()) + ", " + std::to_string(thinker_width_) + "]");
        } else {
            position.state = (int64_t) at;
            ++n_states_;
        }
        positions_.push_back(position);
    }
}

// The thinker's places without what the talker doesn't read, which is text and takes a place a token.
void PromptReading::place(const AxisPositions & thinker) {
    const int64_t n = n_positions();
    places_.values.resize((size_t) (3 * n));
    for (int64_t axis = 0; axis < 3; ++axis) {
        int32_t next = 0;
        for (int64_t i = 0; i < n; ++i) {
            const int64_t from = positions_[(size_t) i].from;
            if (from >= 0) {
                next = thinker.values[(size_t) (axis * thinker.n_tokens() + from)] - (int32_t) (from - i);
            }
            places_.values[(size_t) (axis * n + i)] = next++;
        }
    }
    places_.check(n);
}

AxisPositions PromptReading::places_from(int64_t begin) const {
    AxisPositions out;
    if (places_.empty()) {
        return out;
    }
    for (int64_t axis = 0; axis < 3; ++axis) {
        const auto first = places_.values.begin() + axis * n_positions();
        out.values.insert(out.values.end(), first + begin, first + read_);
    }
    return out;
}

void PromptReading::add_answer_positions(const TextTokens & t, const std::vector<int32_t> & conversation,
                                         int32_t first) {
    const auto at    = positions_.size() + (size_t) k_role_tokens;
    const auto token = [this](int32_t id) {
        Position position;
        position.token = id;
        positions_.push_back(position);
    };
    for (int64_t i = k_role_tokens; i > 0; --i) {
        token(conversation[conversation.size() - (size_t) i]);
    }
    for (int64_t i = 0; i < k_pads; ++i) {
        token(t.tts_pad);
    }
    token(t.tts_bos);
    token(first);
    const int32_t codec[] = { codec_.nothink, codec_.think_bos, codec_.think_eos, codec_.pad, codec_.pad, codec_.bos };
    for (size_t i = 0; i < std::size(codec); ++i) {
        positions_[at + i].codec = codec[i];
    }
    positions_[at + 3].voice = true;
}

std::vector<float> PromptReading::texts(TalkerSession & talker, int64_t begin, int64_t end) const {
    std::vector<int32_t> tokens;
    for (int64_t i = begin; i < end; ++i) {
        // An answer of one token is one column.
        if (positions_[(size_t) i].token >= 0 && !(alone_ && i + 1 == n_positions())) {
            tokens.push_back(positions_[(size_t) i].token);
        }
    }
    auto rows = project_part(talker, tokens);
    if (alone_ && end == n_positions()) {
        add_rows(rows, talker.project_text({ positions_.back().token }));
    }
    return rows;
}

std::vector<float> PromptReading::states(TalkerSession & talker, int64_t begin, int64_t end) const {
    std::vector<float> rows;
    for (int64_t i = begin; i < end; ++i) {
        if (positions_[(size_t) i].state >= 0) {
            add_rows(rows, row(thinker_hidden_, positions_[(size_t) i].state, thinker_width_));
        }
    }
    const bool single = (int64_t) rows.size() == thinker_width_ && n_states_ > 1;
    auto       out    = talker.project_hidden(single ? twice(rows) : rows);
    out.resize(single ? out.size() / 2 : out.size());
    return out;
}

void PromptReading::add_codec(TalkerSession & talker, int64_t begin, int64_t end, std::vector<float> & inputs) const {
    std::vector<int32_t> ids;
    std::vector<int64_t> at;
    for (int64_t i = begin; i < end; ++i) {
        const Position & position = positions_[(size_t) i];
        if (position.codec >= 0) {
            ids.push_back(position.voice && speaker_.ids.size() == 1 ? speaker_.ids.front() : position.codec);
            at.push_back(i);
        }
    }
    const auto rows = ids.empty() ? std::vector<float>{} : talker.embed_codec(ids);
    for (size_t i = 0; i < at.size(); ++i) {
        const bool mixed = positions_[(size_t) at[i]].voice && speaker_.ids.size() != 1;
        const auto codec = mixed ? embedding_of(talker, speaker_) : row(rows, (int64_t) i, hidden_);
        float *    to    = inputs.data() + (at[i] - begin) * hidden_;
        for (int64_t j = 0; j < hidden_; ++j) {
            to[j] += codec[(size_t) j];
        }
    }
}

std::vector<float> PromptReading::next(TalkerSession & talker, int64_t n) {
    // The last of them is a stretch of its own where the whole would leave one.
    const int64_t last  = n_positions() % k_stretch == 1 ? n_positions() - 1 : n_positions();
    const int64_t begin = read_;
    int64_t       end   = std::min(last, begin + std::max<int64_t>(2, n));
    if (end + 1 == last || begin == last) {
        ++end;
    }
    read_ = end;
    if (!given_.empty()) {
        return { given_.begin() + (std::ptrdiff_t) (begin * hidden_),
                 given_.begin() + (std::ptrdiff_t) (end * hidden_) };
    }
    const auto         from_text   = texts(talker, begin, end);
    const auto         from_states = states(talker, begin, end);
    std::vector<float> inputs;
    int64_t            n_text   = 0;
    int64_t            n_states = 0;
    for (int64_t i = begin; i < end; ++i) {
        const bool state = positions_[(size_t) i].state >= 0;
        add_rows(inputs, state ? row(from_states, n_states++, hidden_) : row(from_text, n_text++, hidden_));
    }
    add_codec(talker, begin, end, inputs);
    return inputs;
}

TalkerPrompt assemble_prompt(TalkerSession & talker, const TalkerGeometry & geometry, const TextTokens & t,
                             const std::vector<int32_t> & conversation, const std::vector<int32_t> & answer,
                             const Speaker & speaker, const ThinkerStates & states) {
    check_header(t, conversation);
    if (answer.empty()) {
        throw Error(ErrorKind::input, "there is no text to speak");
    }
    check_ids(answer, geometry.text_vocab, "vocabulary token id");
    PromptReading reading(talker.talker(), t, conversation, answer.front(), answer.size() == 1, speaker, states);
    const auto    marks = text_marks(talker, t);
    TalkerPrompt  prompt{ reading.next(talker, reading.n_positions()), {}, marks.pad, reading.places_from(0) };
    if (answer.size() > 1) {
        prompt.trailing = project_part(talker, { answer.begin() + 1, answer.end() });
    }
    add_rows(prompt.trailing, marks.eos);
    return prompt;
}

}  // namespace omni

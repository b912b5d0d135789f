#include "speech/speech_batch.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <string>

#include "error/error.h"

namespace omni {

namespace {

using Clock = std::chrono::steady_clock;

// Row `index` of [n, width].
std::vector<float> row_of(const std::vector<float> & values, size_t index, int64_t width) {
    const auto begin = values.begin() + (std::ptrdiff_t) index * (std::ptrdiff_t) width;
    return { begin, begin + (std::ptrdiff_t) width };
}

// Adds the seconds of a block.
class Timed {
  public:
    explicit Timed(double & sum) : sum_(sum), start_(Clock::now()) {}

    ~Timed() { sum_ += std::chrono::duration<double>(Clock::now() - start_).count(); }

    Timed(const Timed &)             = delete;
    Timed & operator=(const Timed &) = delete;

  private:
    double &          sum_;
    Clock::time_point start_;
};

}  // namespace

SpeechBatch::SpeechBatch(std::shared_ptr<const SpeechModel> model, int64_t n_slots, int n_threads,
                         std::shared_ptr<Probe> probe) :
    model_(model),
    talker_(model->talker(), model->code_tables(), n_slots, n_threads, probe),
    predictor_(model->predictor(), model->talker()->code_table(), n_slots, n_threads, probe),
    states_((size_t) n_slots),
    errors_((size_t) n_slots) {}

void SpeechBatch::open(int64_t slot, const SpeechParams & params, PromptReading prompt) {
    if (slot < 0 || slot >= n_slots() || states_[(size_t) slot] != nullptr) {
        throw Error(ErrorKind::internal, "slot " + std::to_string(slot) + " is not free");
    }
    states_[(size_t) slot] = std::make_unique<SpeechState>(*model_, params, std::move(prompt));
}

void SpeechBatch::close(int64_t slot) {
    if (errors_[(size_t) slot]) {
        talker_.restart_clean(slot);
        predictor_.forget();
    } else {
        talker_.restart(slot);
    }
    states_[(size_t) slot].reset();
    errors_[(size_t) slot] = nullptr;
}

void SpeechBatch::has_read(int64_t slot, TalkerOutput output) {
    if (!state(slot).prompt().at_end()) {
        return;
    }
    try {
        state(slot).read(std::move(output.logits), std::move(output.hidden));
    } catch (const Error &) {
        fail(slot);
    }
}

void SpeechBatch::read_prompts(const std::vector<int64_t> & slots, int64_t n) {
    struct Run {
        std::vector<int64_t>            slots;
        std::vector<std::vector<float>> inputs;
    };

    std::map<size_t, Run> runs;  // by their length
    for (const int64_t slot : slots) {
        PromptReading & prompt = state(slot).prompt();
        const int64_t   begin  = prompt.n_read();
        try {
            auto       inputs = prompt.next(talker_, n);
            const auto places = prompt.places_from(begin);
            if (!places.empty() || slots.size() == 1) {
                has_read(slot, talker_.prompt(slot, inputs, places));
                continue;
            }
            Run & run = runs[inputs.size()];
            run.slots.push_back(slot);
            run.inputs.push_back(std::move(inputs));
        } catch (const Error &) {
            fail(slot);
        }
    }
    for (const auto & entry : runs) {
        const Run & run     = entry.second;
        auto        outputs = talker_.prompts(run.slots, run.inputs);
        for (size_t i = 0; i < run.slots.size(); ++i) {
            has_read(run.slots[i], std::move(outputs[i]));
        }
    }
}

void SpeechBatch::add_text(int64_t slot, const std::vector<int32_t> & tokens) {
    if (!tokens.empty()) {
        state(slot).add_text(project_part(talker_, tokens));
    }
}

void SpeechBatch::finish_text(int64_t slot) {
    if (marks_.pad.empty()) {
        marks_ = text_marks(talker_, model_->text_tokens());
    }
    state(slot).add_text(marks_.eos);
    state(slot).finish_text(marks_.pad);
}

void SpeechBatch::set_text(int64_t slot, const std::vector<float> & rows, std::vector<float> pad) {
    const auto hidden = (size_t) model_->talker()->geometry().decoder.hidden;
    if (rows.size() % hidden != 0 || pad.size() != hidden) {
        throw Error(ErrorKind::input, "the text of a talker prompt is trailing [m, " + std::to_string(hidden) +
                                          "] and pad [" + std::to_string(hidden) + "]");
    }
    state(slot).add_text(rows);
    state(slot).finish_text(std::move(pad));
}

bool SpeechBatch::can_step(int64_t slot) const {
    const SpeechState & speech = state(slot);
    // At the limit no text is needed to see that this is the end.
    return speech.stop_reason() == StopReason::none && speech.prompt().at_end() &&
           (speech.has_text() || speech.at_limit());
}

void SpeechBatch::fail(int64_t slot) {
    errors_[(size_t) slot] = std::current_exception();
    state(slot).stop(StopReason::failed);
}

void SpeechBatch::stop_at_limits(const std::vector<int64_t> & slots) {
    for (const int64_t slot : slots) {
        SpeechState & speech = state(slot);
        // The newest frame is read before the next is drawn, which takes one more position.
        const bool full = !speech.unread().empty() && talker_.room(slot) == 0;
        if (speech.at_limit()) {
            speech.stop(StopReason::frame_limit);
        } else if (full) {
            speech.stop(StopReason::context_full);
        }
    }
}

std::vector<int64_t> SpeechBatch::going_on(const std::vector<int64_t> & slots) const {
    std::vector<int64_t> out;
    std::copy_if(slots.begin(), slots.end(), std::back_inserter(out),
                 [this](int64_t slot) { return state(slot).stop_reason() == StopReason::none; });
    return out;
}

// The talker reads the newest frames, each with the text that belongs to it. Done when the next are asked for, so that
// the newest can be heard first.
void SpeechBatch::read_frames(const std::vector<int64_t> & slots) {
    std::vector<int64_t> reading;
    std::vector<int32_t> codes;
    std::vector<float>   text;
    for (const int64_t slot : slots) {
        const SpeechState & speech = state(slot);
        if (!speech.unread().empty()) {
            const auto said = speech.text();
            reading.push_back(slot);
            codes.insert(codes.end(), speech.unread().begin(), speech.unread().end());
            text.insert(text.end(), said.begin(), said.end());
        }
    }
    const auto output = talker_.frame(reading, codes, text);
    for (size_t i = 0; i < reading.size(); ++i) {
        try {
            state(reading[i])
                .read(row_of(output.logits, i, model_->talker()->geometry().vocab),
                      row_of(output.hidden, i, model_->talker()->geometry().decoder.hidden));
        } catch (const Error &) {
            fail(reading[i]);
        }
    }
}

// The first codes. A frame stays empty where a speech ends.
std::vector<std::vector<int32_t>> SpeechBatch::draw_frames(const std::vector<int64_t> & slots) {
    std::vector<std::vector<int32_t>> frames(slots.size());
    for (size_t i = 0; i < slots.size(); ++i) {
        if (state(slots[i]).draw_first()) {
            frames[i] = { state(slots[i]).first_code() };
        }
    }
    return frames;
}

// Codes 1 to G-1 of every frame that has its first code.
void SpeechBatch::complete_frames(std::vector<int64_t> slots, std::vector<std::vector<int32_t>> & frames) {
    const int64_t        groups = model_->predictor()->geometry().n_groups;
    const int64_t        vocab  = model_->predictor()->geometry().vocab;
    std::vector<float>   hidden;
    std::vector<int32_t> codes;
    for (size_t i = 0; i < slots.size(); ++i) {
        const auto & states = state(slots[i]).hidden();
        hidden.insert(hidden.end(), states.begin(), states.end());
        codes.push_back(frames[i].front());
    }
    std::vector<float> logits;
    for (int64_t group = 1; group < groups; ++group) {
        {
            const Timed timed(seconds_.predictor);
            logits = group == 1 ? predictor_.start(hidden, codes) : predictor_.next(codes);
        }
        const Timed timed(seconds_.sampling);
        for (size_t i = 0; i < slots.size(); ++i) {
            if (errors_[(size_t) slots[i]]) {
                continue;  // it goes along with the code it had
            }
            try {
                codes[i] = state(slots[i]).draw(row_of(logits, i, vocab), group);
                frames[i].push_back(codes[i]);
            } catch (const Error &) {
                fail(slots[i]);
                frames[i].clear();
            }
        }
    }
}

std::vector<std::vector<int32_t>> SpeechBatch::step(const std::vector<int64_t> & slots) {
    seconds_ = {};
    std::vector<std::vector<int32_t>> frames(slots.size());
    stop_at_limits(slots);
    {
        const Timed timed(seconds_.talker);
        read_frames(going_on(slots));
    }
    std::vector<int64_t>              drawing;
    std::vector<std::vector<int32_t>> drawn;
    {
        const Timed timed(seconds_.sampling);
        const auto  left  = going_on(slots);
        auto        first = draw_frames(left);
        for (size_t i = 0; i < left.size(); ++i) {
            if (!first[i].empty()) {
                drawing.push_back(left[i]);
                drawn.push_back(std::move(first[i]));
            }
        }
    }
    if (!drawing.empty()) {
        complete_frames(drawing, drawn);
    }
    for (size_t i = 0; i < drawing.size(); ++i) {
        if (!drawn[i].empty()) {
            state(drawing[i]).finish_frame(drawn[i]);
            const auto at                         = std::find(slots.begin(), slots.end(), drawing[i]);
            frames[(size_t) (at - slots.begin())] = std::move(drawn[i]);
        }
    }
    return frames;
}

}  // namespace omni

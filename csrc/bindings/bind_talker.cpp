#include <pybind11/stl.h>

#include "bindings/arrays.h"
#include "bindings/bindings.h"
#include "bindings/interpreter_lock.h"
#include "speech/prompt.h"
#include "speech/speaker.h"
#include "speech/speech_model.h"

namespace py = pybind11;

namespace omni {

namespace {

// A session, and the words by which its model takes a conversation apart.
struct BoundTalker {
    TalkerSession session;
    TextTokens    tokens;

    const TalkerGeometry & geometry() const { return session.talker().geometry(); }
};

std::shared_ptr<BoundTalker> session(const SpeechModel & model, int64_t n_sequences, int n_threads,
                                     std::shared_ptr<Probe> probe) {
    return std::shared_ptr<BoundTalker>(
        new BoundTalker{ TalkerSession(model.talker(), model.code_tables(), n_sequences, n_threads, std::move(probe)),
                         model.text_tokens() });
}

py::tuple outputs(const BoundTalker & self, TalkerOutput out) {
    return py::make_tuple(to_rows(std::move(out.logits), self.geometry().vocab),
                          to_rows(std::move(out.hidden), self.geometry().decoder.hidden));
}

py::array_t<float> project_text(BoundTalker & self, const std::vector<int32_t> & tokens) {
    std::vector<float> out;
    {
        LockReleased release;
        out = self.session.project_text(tokens);
    }
    return to_rows(std::move(out), self.geometry().decoder.hidden);
}

py::array_t<float> project_hidden(BoundTalker & self, const FloatArray & states) {
    require_columns(states, self.geometry().thinker_hidden, "thinker hidden states");
    const auto         values = to_vector(states);
    std::vector<float> out;
    {
        LockReleased release;
        out = self.session.project_hidden(values);
    }
    return to_rows(std::move(out), self.geometry().decoder.hidden);
}

py::array_t<float> embed_codec(BoundTalker & self, const std::vector<int32_t> & ids) {
    std::vector<float> out;
    {
        LockReleased release;
        out = self.session.embed_codec(ids);
    }
    return to_rows(std::move(out), self.geometry().decoder.hidden);
}

py::array_t<float> embed_speaker(BoundTalker & self, const Speaker & speaker) {
    std::vector<float> out;
    {
        LockReleased release;
        out = embedding_of(self.session, speaker);
    }
    const auto width = (py::ssize_t) out.size();
    return to_array(std::move(out), { width });
}

py::tuple prompt(BoundTalker & self, int64_t sequence, const FloatArray & inputs,
                 const std::optional<IntArray> & positions) {
    require_columns(inputs, self.geometry().decoder.hidden, "talker inputs");
    const auto   values = to_vector(inputs);
    const auto   places = axis_positions(positions);
    TalkerOutput out;
    {
        LockReleased release;
        out = self.session.prompt(sequence, values, places);
        self.session.check_logits(out.logits);
    }
    return outputs(self, std::move(out));
}

py::tuple frame(BoundTalker & self, const IntArray & codes, const FloatArray & text,
                const std::optional<std::vector<int64_t>> & given) {
    require_columns(codes, self.session.n_groups(), "the codes of a frame");
    require_columns(text, self.geometry().decoder.hidden, "the text of a frame");
    const auto           ids       = to_vector(codes);
    const auto           values    = to_vector(text);
    std::vector<int64_t> sequences = self.session.all();
    if (given) {
        sequences = *given;
    }
    TalkerOutput out;
    {
        LockReleased release;
        out = self.session.frame(sequences, ids, values);
        self.session.check_logits(out.logits);
    }
    return outputs(self, std::move(out));
}

py::tuple assemble(BoundTalker & self, const std::vector<int32_t> & conversation, const std::vector<int32_t> & answer,
                   const Speaker & speaker, const std::optional<FloatArray> & thinker_hidden,
                   const std::optional<IntArray> & positions) {
    const ThinkerStates states{ thinker_states(thinker_hidden, self.geometry().thinker_hidden),
                                axis_positions(positions) };
    TalkerPrompt        made;
    {
        LockReleased release;
        made = assemble_prompt(self.session, self.geometry(), self.tokens, conversation, answer, speaker, states);
    }
    const int64_t width  = self.geometry().decoder.hidden;
    py::object    places = py::none();
    if (!made.places.empty()) {
        const auto n = (py::ssize_t) made.places.n_tokens();
        places       = to_array(std::move(made.places.values), { 3, n });
    }
    return py::make_tuple(to_rows(std::move(made.inputs), width), to_rows(std::move(made.trailing), width),
                          to_rows(std::move(made.pad), width), places);
}

}  // namespace

void bind_talker(py::module_ & m) {
    py::class_<BoundTalker, std::shared_ptr<BoundTalker>>(
        m, "TalkerSession", "Caches and graphs of a batch of speeches. Not for two threads at once.")
        .def(py::init(&session), py::arg("model"), py::arg("n_sequences"), py::arg("n_threads"), py::arg("probe"),
             "Raises InputError for a batch or a number of threads that can't be.")
        .def("project_text", &project_text, py::arg("tokens"),
             "text_projection of token ids [n] -> float32 [n, hidden]. Raises InputError for ids there aren't.")
        .def("project_hidden", &project_hidden, py::arg("states"),
             "hidden_projection of the thinker's states [n, thinker hidden] -> float32 [n, hidden].")
        .def("embed_codec", &embed_codec, py::arg("ids"),
             "The talker's embedding of codec ids [n] -> float32 [n, hidden]. Raises InputError for ids there aren't.")
        .def("embed_speaker", &embed_speaker, py::arg("speaker"),
             "What stands for a speaker in the prompt, float32 [hidden].")
        .def(
            "assemble_prompt", &assemble, py::arg("conversation"), py::arg("answer"), py::arg("speaker"), py::kw_only(),
            py::arg("thinker_hidden") = py::none(), py::arg("positions") = py::none(),
            R"(Token ids -> inputs [n, hidden], trailing [m, hidden] and pad [1, hidden], float32, and positions of the inputs
where those of the conversation are given.

`conversation` ends with the answer's header; `thinker_hidden` [conversation, thinker hidden] is read where there is audio,
image or video; `positions` int32 [3, conversation] are the thinker's, None for one after the other. Raises InputError for a conversation without that header and for an empty answer.)")
        .def("prompt", &prompt, py::arg("sequence"), py::arg("inputs"), py::kw_only(),
             py::arg("positions") = py::none(),
             "Appends inputs [n, hidden] to a sequence, at positions [3, n] or one after the other -> logits "
             "[1, vocabulary] and hidden [1, hidden] of the last one.")
        .def(
            "frame", &frame, py::arg("codes"), py::arg("text"), py::kw_only(), py::arg("sequences") = py::none(),
            R"(Appends a frame to every sequence, or to those that are named: codes [sequences, groups] and text [sequences,
hidden] -> logits [sequences, vocabulary] and hidden [sequences, hidden]. Raises InputError for a sequence without a prompt.)")
        .def_property_readonly(
            "cache_nbytes", [](const BoundTalker & self) { return self.session.cache_nbytes(); },
            "Bytes of the cache of keys and values.");
}

}  // namespace omni

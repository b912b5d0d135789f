#include <pybind11/stl.h>

#include "bindings/arrays.h"
#include "bindings/bindings.h"
#include "models/speech_model.h"
#include "speech/prompt.h"

namespace py = pybind11;

namespace omni {

namespace {

// Keeps the model beside the session, for the shapes of its arrays.
struct BoundTalker {
    std::shared_ptr<const SpeechModel> model;
    std::shared_ptr<TalkerSession>     session;
    int64_t                            n_sequences;

    const TalkerGeometry & geometry() const { return model->talker().geometry(); }
};

py::array_t<float> rows(std::vector<float> values, int64_t width) {
    const auto n = (py::ssize_t) ((int64_t) values.size() / width);
    return to_array(std::move(values), { n, (py::ssize_t) width });
}

py::tuple outputs(const BoundTalker & self, TalkerOutput out) {
    return py::make_tuple(rows(std::move(out.logits), self.geometry().vocab),
                          rows(std::move(out.hidden), self.geometry().decoder.hidden));
}

py::tuple prompt(BoundTalker & self, int64_t sequence, const FloatArray & inputs) {
    require_columns(inputs, self.geometry().decoder.hidden, "talker inputs");
    const auto   values = to_vector(inputs);
    TalkerOutput out;
    {
        py::gil_scoped_release release;
        out = self.session->prompt(sequence, values);
    }
    return outputs(self, std::move(out));
}

py::tuple frame(BoundTalker & self, const IntArray & codes, const FloatArray & text) {
    require_columns(codes, self.model->predictor().geometry().n_groups, "the codes of a frame");
    require_columns(text, self.geometry().decoder.hidden, "the text of a frame");
    const auto   ids    = to_vector(codes);
    const auto   values = to_vector(text);
    TalkerOutput out;
    {
        py::gil_scoped_release release;
        out = self.session->frame(ids, values);
    }
    return outputs(self, std::move(out));
}

py::tuple assemble(BoundTalker & self, const std::vector<int32_t> & conversation, const std::vector<int32_t> & answer,
                   int32_t speaker, const py::object & thinker_hidden) {
    std::vector<float> hidden;
    if (!thinker_hidden.is_none()) {
        const auto states = py::cast<FloatArray>(thinker_hidden);
        require_columns(states, self.geometry().thinker_hidden, "thinker hidden states");
        hidden = to_vector(states);
    }
    TalkerPrompt made;
    {
        py::gil_scoped_release release;
        made = assemble_prompt(*self.session, self.geometry(), conversation, answer, speaker, hidden);
    }
    const int64_t width = self.geometry().decoder.hidden;
    return py::make_tuple(rows(std::move(made.inputs), width), rows(std::move(made.trailing), width),
                          rows(std::move(made.pad), width));
}

}  // namespace

void bind_talker(py::module_ & m) {
    py::class_<BoundTalker>(m, "TalkerSession")
        .def(py::init([](std::shared_ptr<SpeechModel> model, int64_t n_sequences, int n_threads,
                         std::shared_ptr<Probe> probe) {
                 if (n_sequences < 1 || n_sequences > 1024) {
                     throw Error(ErrorKind::input, "a batch holds 1 to 1024 speeches");
                 }
                 return BoundTalker{ model,
                                     std::make_shared<TalkerSession>(model, n_sequences, n_threads, std::move(probe)),
                                     n_sequences };
             }),
             py::arg("model"), py::arg("n_sequences"), py::arg("n_threads"), py::arg("probe"))
        .def("project_text",
             [](BoundTalker & self, const std::vector<int32_t> & tokens) {
                 return rows(self.session->project_text(tokens), self.geometry().decoder.hidden);
             })
        .def("project_hidden",
             [](BoundTalker & self, const FloatArray & states) {
                 require_columns(states, self.geometry().thinker_hidden, "thinker hidden states");
                 return rows(self.session->project_hidden(to_vector(states)), self.geometry().decoder.hidden);
             })
        .def("embed_codec",
             [](BoundTalker & self, const std::vector<int32_t> & ids) {
                 return rows(self.session->embed_codec(ids), self.geometry().decoder.hidden);
             })
        .def("assemble_prompt", &assemble, py::arg("conversation"), py::arg("answer"), py::arg("speaker"),
             py::arg("thinker_hidden") = py::none())
        .def("prompt", &prompt, py::arg("sequence"), py::arg("inputs"))
        .def("frame", &frame, py::arg("codes"), py::arg("text"))
        .def_property_readonly("cache_nbytes", [](const BoundTalker & self) { return self.session->cache_nbytes(); });
}

}  // namespace omni

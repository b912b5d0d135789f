#include <pybind11/stl.h>

#include "bindings/arrays.h"
#include "bindings/bindings.h"
#include "models/thinker.h"
#include "speech/text_generator.h"

namespace py = pybind11;

namespace omni {

namespace {

py::dict geometry(const Thinker & model) {
    const ThinkerGeometry & g = model.geometry();
    py::dict                out;
    out["num_hidden_layers"]   = g.decoder.n_layers;
    out["hidden_size"]         = g.decoder.hidden;
    out["num_attention_heads"] = g.decoder.n_heads;
    out["num_key_value_heads"] = g.decoder.n_kv_heads;
    out["head_dim"]            = g.decoder.head_dim;
    out["num_experts"]         = g.decoder.n_experts;
    out["num_experts_per_tok"] = g.decoder.n_experts_used;
    out["context"]             = g.decoder.context;
    out["vocab_size"]          = g.vocab;
    out["accept_hidden_layer"] = g.accept_layer;
    return out;
}

py::tuple forward(ThinkerSession & session, const IntArray & tokens, bool all_logits, bool want_hidden,
                  const Thinker & model) {
    const auto    ids = to_vector(tokens);
    ThinkerOutput out;
    {
        py::gil_scoped_release release;
        out = session.forward(ids, all_logits, want_hidden);
    }
    const auto vocab  = (py::ssize_t) model.geometry().vocab;
    const auto width  = (py::ssize_t) model.geometry().decoder.hidden;
    const auto rows   = (py::ssize_t) out.logits.size() / vocab;
    py::object hidden = py::none();
    if (want_hidden) {
        const auto time = (py::ssize_t) out.hidden.size() / width;
        hidden          = to_array(std::move(out.hidden), { time, width });
    }
    return py::make_tuple(to_array(std::move(out.logits), { rows, vocab }), hidden);
}

const char * stop_name(TextStop stop) {
    switch (stop) {
        case TextStop::none: return "";
        case TextStop::stop_token: return "eos";
        case TextStop::token_limit: return "token_limit";
        case TextStop::context_full: return "context_full";
    }
    return "";
}

// Keeps the model beside the session, for the shapes of its output.
struct BoundSession {
    std::shared_ptr<const Thinker>  model;
    std::shared_ptr<ThinkerSession> session;
};

}  // namespace

void bind_thinker(py::module_ & m) {
    const auto release = py::call_guard<py::gil_scoped_release>();
    py::class_<Thinker, std::shared_ptr<Thinker>>(m, "Thinker")
        .def(py::init<const std::string &, const std::string &, bool>(), py::arg("path"), py::arg("device"),
             py::arg("mmap") = true, release)
        .def(py::init<std::shared_ptr<GgufFile>, const std::string &, bool>(), py::arg("file"), py::arg("device"),
             py::arg("mmap") = true, release)
        .def_static(
            "check", [](std::shared_ptr<GgufFile> file) { Thinker::check(std::move(file)); }, py::arg("file"))
        .def_property_readonly("geometry", &geometry)
        .def_property_readonly("nbytes", &Thinker::nbytes)
        .def("default_sampling", [](const Thinker & self) { return self.geometry().sampling; });

    py::class_<BoundSession>(m, "ThinkerSession")
        .def(py::init([](std::shared_ptr<Thinker> model, int n_threads, std::shared_ptr<Probe> probe) {
                 return BoundSession{ model, std::make_shared<ThinkerSession>(model, n_threads, std::move(probe)) };
             }),
             py::arg("model"), py::arg("n_threads"), py::arg("probe"))
        .def(
            "forward",
            [](BoundSession & self, const IntArray & tokens, bool all_logits, bool want_hidden) {
                return forward(*self.session, tokens, all_logits, want_hidden, *self.model);
            },
            py::arg("tokens"), py::arg("all_logits") = true, py::arg("want_hidden") = false)
        .def("truncate", [](BoundSession & self, int64_t position) { self.session->truncate(position); })
        .def_property_readonly("position", [](const BoundSession & self) { return self.session->position(); });

    py::class_<TextGenerator>(m, "TextGenerator")
        .def(py::init([](BoundSession & session, const IntArray & prompt, const SamplingParams & sampling,
                         uint64_t seed, int64_t max_tokens, const std::set<int32_t> & stop_tokens) {
                 const auto             tokens = to_vector(prompt);
                 py::gil_scoped_release unlocked;
                 return std::make_unique<TextGenerator>(session.session, tokens,
                                                        TextParams{ sampling, seed, max_tokens, stop_tokens });
             }),
             py::arg("session"), py::arg("prompt"), py::arg("sampling"), py::arg("seed"), py::arg("max_tokens"),
             py::arg("stop_tokens"))
        .def("next", &TextGenerator::next, release)
        .def_property_readonly("stop_reason", [](const TextGenerator & self) { return stop_name(self.stop_reason()); });
}

}  // namespace omni

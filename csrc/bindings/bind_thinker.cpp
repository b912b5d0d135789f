#include <pybind11/stl.h>

#include "bindings/arrays.h"
#include "bindings/bindings.h"
#include "bindings/interpreter_lock.h"
#include "models/llama_names.h"
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

py::tuple forward(ThinkerSession & self, const IntArray & tokens, bool all_logits, bool want_hidden,
                  const ThinkerMedia & media) {
    const auto    ids = to_vector(tokens);
    ThinkerOutput out;
    {
        LockReleased release;
        out = self.forward(ids, all_logits, want_hidden, media);
    }
    const ThinkerGeometry & g      = self.thinker().geometry();
    py::object              hidden = py::none();
    if (want_hidden) {
        hidden = to_rows(std::move(out.hidden), g.decoder.hidden);
    }
    return py::make_tuple(to_rows(std::move(out.logits), g.vocab), hidden);
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

std::unique_ptr<TextGenerator> generator(std::shared_ptr<ThinkerSession> session, const IntArray & prompt,
                                         const SamplingParams & sampling, uint64_t seed, int64_t max_tokens,
                                         const std::set<int32_t> & stop_tokens, const ThinkerMedia & media,
                                         bool want_hidden) {
    const auto   tokens = to_vector(prompt);
    LockReleased release;
    return std::make_unique<TextGenerator>(std::move(session), tokens,
                                           TextParams{ sampling, seed, max_tokens, stop_tokens, want_hidden }, media);
}

ThinkerMedia media(const std::vector<int64_t> & at, const FloatArray & rows, const std::vector<FloatArray> & deepstack,
                   const std::optional<IntArray> & positions) {
    ThinkerMedia out;
    out.at   = at;
    out.rows = to_vector(rows);
    for (const auto & level : deepstack) {
        out.deepstack.push_back(to_vector(level));
    }
    out.positions = axis_positions(positions);
    return out;
}

py::object prompt_hidden(const TextGenerator & self) {
    if (self.prompt_hidden().empty()) {
        return py::none();
    }
    return to_rows(self.prompt_hidden(), self.session().thinker().geometry().decoder.hidden);
}

}  // namespace

void bind_thinker(py::module_ & m) {
    const auto release = py::call_guard<LockReleased>();
    py::class_<Thinker, std::shared_ptr<Thinker>>(m, "Thinker",
                                                  "The language model's weights. Immutable, shared by sessions.")
        .def(py::init<const std::string &, const std::string &, bool>(), py::arg("file"), py::arg("device"),
             py::kw_only(), py::arg("mmap") = true, release,
             R"(From a path or an open file in llama.cpp's layout. `mmap`: whether weights may stay in the file's pages.

Raises ModelFileError for a file that can't be used, InputError for a device there isn't, OutOfMemoryError.)")
        .def(py::init<std::shared_ptr<GgufFile>, const std::string &, bool>(), py::arg("file"), py::arg("device"),
             py::kw_only(), py::arg("mmap") = true, release)
        .def_static(
            "check", [](std::shared_ptr<GgufFile> file) { Thinker::check(std::move(file)); }, py::arg("file"),
            "Raises what loading would raise, short of reading values.")
        .def_property_readonly("geometry", &geometry, "Sizes, with the names of the Hugging Face configuration.")
        .def_property_readonly("nbytes", &Thinker::nbytes, "Bytes of weights.")
        .def(
            "default_sampling", [](const Thinker & self) { return self.geometry().sampling; },
            "The file's own defaults.");

    py::class_<ThinkerMedia>(m, "ThinkerMedia", "What takes the place of a run's placeholders.")
        .def(py::init<>())
        .def(
            py::init(&media), py::arg("at"), py::arg("rows"), py::kw_only(),
            py::arg("deepstack") = std::vector<FloatArray>{}, py::arg("positions") = py::none(),
            R"(`at`: which tokens, ascending; `rows` float32 [at, hidden] in the place of their embeddings; `deepstack`: float32
[at, hidden] each, added behind layers 0, 1, ...; `positions` int32 [3, tokens] of the whole run, in time, height and
width, None for one after the other.)");

    py::class_<ThinkerSession, std::shared_ptr<ThinkerSession>>(m, "ThinkerSession",
                                                                "One conversation. Not for two threads at once.")
        .def(py::init<std::shared_ptr<const Thinker>, int, std::shared_ptr<Probe>>(), py::arg("model"),
             py::arg("n_threads"), py::arg("probe"), "Raises InputError for a number of threads that can't be.")
        .def(
            "forward", &forward, py::arg("tokens"), py::kw_only(), py::arg("all_logits") = true,
            py::arg("want_hidden") = false, py::arg("media") = ThinkerMedia{},
            R"(Appends token ids [n] -> logits float32 [n or 1, vocabulary] and, where wanted, what the talker reads, float32
[n, hidden]. Raises InputError for ids there aren't, for more tokens than the context holds, and for media that don't fit.)")
        .def("truncate", &ThinkerSession::truncate, py::arg("position"),
             "Forgets all positions from `position` on. Raises InputError for one that there isn't.")
        .def_property_readonly("position", &ThinkerSession::position, "Tokens so far.");

    py::class_<TextGenerator>(m, "TextGenerator", "The thinker's answer, token by token.")
        .def(py::init(&generator), py::arg("session"), py::arg("prompt"), py::kw_only(), py::arg("sampling"),
             py::arg("seed"), py::arg("max_tokens"), py::arg("stop_tokens"), py::arg("media") = ThinkerMedia{},
             py::arg("want_hidden") = false,
             "Reads the prompt, token ids [n]. Raises InputError where the context can't hold it, or media don't fit.")
        .def("next", &TextGenerator::next, release, "The next token, or -1 at the end; a stop token is no part of it.")
        .def_property_readonly("prompt_hidden", &prompt_hidden,
                               "What a talker reads of the prompt, float32 [n, hidden]; None unless asked for.")
        .def_property_readonly(
            "stop_reason", [](const TextGenerator & self) { return stop_name(self.stop_reason()); },
            R"("eos", "token_limit" or "context_full"; "" while it goes on.)");

    m.def("llama_layer_names", &llama_layer_names,
          R"(llama.cpp's name of a tensor in a decoder layer by its checkpoint name there, both without ".weight".)");
    m.def(
        "llama_thinker_name", &llama_thinker_name, py::arg("name"),
        "llama.cpp's name of a thinker's tensor by its checkpoint name, experts stacked. Raises OmniError for others.");
    m.def(
        "llama_encoder_name", &llama_encoder_name, py::arg("name"),
        R"(llama.cpp's name of an audio or vision encoder's tensor by its checkpoint name, ".weight" or ".bias" at its end.
Raises OmniError for others.)");
}

}  // namespace omni

#include <pybind11/stl.h>

#include "bindings/arrays.h"
#include "bindings/bindings.h"
#include "bindings/interpreter_lock.h"
#include "speech/prompt.h"
#include "speech/speaker.h"
#include "speech/speech_model.h"
#include "speech/speech_state.h"

namespace py = pybind11;

namespace omni {

namespace {

py::dict decoder_geometry(const DecoderGeometry & g) {
    py::dict out;
    out["num_hidden_layers"]   = g.n_layers;
    out["hidden_size"]         = g.hidden;
    out["num_attention_heads"] = g.n_heads;
    out["num_key_value_heads"] = g.n_kv_heads;
    out["head_dim"]            = g.head_dim;
    out["intermediate_size"]   = g.ffn_width;
    out["num_experts"]         = g.n_experts;
    out["num_experts_per_tok"] = g.n_experts_used;
    out["context"]             = g.context;
    return out;
}

py::dict talker_geometry(const SpeechModel & model) {
    const TalkerGeometry & g   = model.talker()->geometry();
    py::dict               out = decoder_geometry(g.decoder);
    out["vocab_size"]          = g.vocab;
    out["text_vocab_size"]     = g.text_vocab;
    out["thinker_hidden_size"] = g.thinker_hidden;
    out["codec_eos_token_id"]  = g.codec.eos;
    out["suppressed_tail"]     = g.suppressed_tail;
    out["speakers"]            = g.speakers;
    return out;
}

py::dict predictor_geometry(const SpeechModel & model) {
    py::dict out           = decoder_geometry(model.predictor()->geometry().decoder);
    out["vocab_size"]      = model.predictor()->geometry().vocab;
    out["num_code_groups"] = model.predictor()->geometry().n_groups;
    return out;
}

py::dict code2wav_geometry(const SpeechModel & model) {
    const Code2WavGeometry & g   = model.code2wav()->geometry();
    py::dict                 out = decoder_geometry(g.transformer);
    out["sliding_window"]        = g.window;
    out["num_quantizers"]        = g.n_groups;
    out["codebook_size"]         = g.codebook_size;
    out["decoder_dim"]           = g.decoder_dim;
    out["sample_rate"]           = g.sample_rate;
    out["upsampling_ratios"]     = g.ratios;
    out["upsample_rates"]        = g.rates;
    out["samples_per_frame"]     = g.samples_per_frame();
    return out;
}

py::dict text_tokens(const SpeechModel & model) {
    const TextTokens & t = model.text_tokens();
    py::dict           out;
    out["im_start"]  = t.im_start;
    out["im_end"]    = t.im_end;
    out["user"]      = t.user;
    out["assistant"] = t.assistant;
    out["audio"]     = t.audio;
    out["image"]     = t.image;
    out["video"]     = t.video;
    return out;
}

}  // namespace

void bind_speech_model(py::module_ & m) {
    py::enum_<VocoderPrecision>(m, "VocoderPrecision", "How code2wav's convolutions are computed on a CPU.")
        .value("auto", VocoderPrecision::automatic, "Float32 for weights stored so, else the fastest this CPU has.")
        .value("f32", VocoderPrecision::f32)
        .value("bf16", VocoderPrecision::bf16, "Bfloat16 products summed in float32.")
        .value("plain", VocoderPrecision::plain, "Ordinary ggml nodes, as on every other device.");

    const auto release = py::call_guard<LockReleased>();
    py::class_<SpeechModel, std::shared_ptr<SpeechModel>>(
        m, "SpeechModel",
        "Weights of talker, code predictor and code2wav, or of code2wav alone. Immutable, shared by sessions.")
        .def(py::init<const std::string &, const std::string &, VocoderPrecision, bool>(), py::arg("file"),
             py::arg("device"), py::kw_only(), py::arg("vocoder_precision") = VocoderPrecision::automatic,
             py::arg("mmap") = true, release,
             R"(From a path or an open file of our layout. `mmap`: whether weights may stay in the file's pages.

Raises ModelFileError for a file that can't be used, InputError for a device or precision there isn't, OutOfMemoryError.)")
        .def(py::init<std::shared_ptr<GgufFile>, const std::string &, VocoderPrecision, bool>(), py::arg("file"),
             py::arg("device"), py::kw_only(), py::arg("vocoder_precision") = VocoderPrecision::automatic,
             py::arg("mmap") = true, release)
        .def_static(
            "check", [](std::shared_ptr<GgufFile> file) { SpeechModel::check(std::move(file)); }, py::arg("file"),
            "Raises what loading would raise, short of reading values.")
        .def_property_readonly("speaks", &SpeechModel::speaks,
                               "Whether there is more than code2wav. What needs more raises InputError where not.")
        .def_property_readonly("talker_geometry", &talker_geometry,
                               "The talker's sizes, with the names of the Hugging Face configuration.")
        .def_property_readonly("predictor_geometry", &predictor_geometry, "The same of the code predictor.")
        .def_property_readonly("code2wav_geometry", &code2wav_geometry, "The same of code2wav.")
        .def_property_readonly("text_tokens", &text_tokens, "Ids by which a conversation is taken apart.")
        .def_property_readonly("on_cpu", &SpeechModel::on_cpu, "Whether all is computed by this machine's CPU.")
        .def_property_readonly("nbytes", &SpeechModel::nbytes, "Bytes of weights.")
        .def_property_readonly("mapped_nbytes", &SpeechModel::mapped_nbytes,
                               "Bytes of the weights that stay in the file's pages.")
        .def(
            "n_samples",
            [](const SpeechModel & self, int64_t n_frames) { return self.code2wav()->geometry().n_samples(n_frames); },
            py::arg("n_frames"), "Samples of the first frames of a stream.")
        .def(
            "find_speaker",
            [](const SpeechModel & self, const std::string & name) {
                return speaker_named(self.talker()->geometry(), name);
            },
            py::arg("name"),
            R"(A speaker, in any case, or a mixture "ethan:0.7,chelsie:0.3". Raises InputError with the names there are.)")
        .def(
            "speaker_of_vector",
            [](const SpeechModel & self, const FloatArray & vector) {
                return speaker_of_vector(self.talker()->geometry(), to_vector(vector));
            },
            py::arg("vector"), "In the place of a speaker's embedding, [hidden]. Raises InputError for another width.")
        .def("default_params", &default_speech_params, "The file's own defaults.");

    py::class_<Speaker>(m, "Speaker", "Who speaks; see SpeechModel.find_speaker.")
        .def(py::init(&Speaker::of_id), py::arg("id"), "By an id of the codec vocabulary.")
        .def_readonly("ids", &Speaker::ids, "Of the codec vocabulary; none of a vector.")
        .def_readonly("weights", &Speaker::weights, "Of a mixture, one for each id.");
    py::implicitly_convertible<int32_t, Speaker>();

    py::class_<SpeechParams>(m, "SpeechParams", "Options of one speech; see SpeechModel.default_params.")
        .def_readwrite("talker", &SpeechParams::talker, "How first codes are drawn.")
        .def_readwrite("predictor", &SpeechParams::predictor, "How the other codes are drawn.")
        .def_readwrite("seed", &SpeechParams::seed, "The same seed gives the same codes.")
        .def_readwrite("max_frames", &SpeechParams::max_frames, "The longest speech, in frames.")
        .def_readwrite("ignore_eos", &SpeechParams::ignore_eos, "Never end before max_frames.");
}

}  // namespace omni

#include <pybind11/stl.h>

#include "bindings/arrays.h"
#include "bindings/bindings.h"
#include "bindings/interpreter_lock.h"
#include "bindings/interruption.h"
#include "speech/media_encoders.h"

namespace py = pybind11;

namespace omni {

namespace {

py::object geometry(const MediaEncoders & self) {
    if (self.audio() == nullptr) {
        return py::none();
    }
    const AudioEncoderGeometry & g = self.audio()->geometry();
    py::dict                     out;
    out["encoder_layers"]          = g.n_layers;
    out["d_model"]                 = g.hidden;
    out["encoder_attention_heads"] = g.n_heads;
    out["encoder_ffn_dim"]         = g.ffn_width;
    out["num_mel_bins"]            = g.n_mels;
    out["downsample_hidden_size"]  = g.channels;
    out["output_dim"]              = g.output_width;
    out["n_window"]                = g.chunk / 2;
    out["n_window_infer"]          = g.window * g.chunk;
    return out;
}

py::object vision_geometry(const MediaEncoders & self) {
    if (self.vision() == nullptr) {
        return py::none();
    }
    const VisionEncoderGeometry & g = self.vision()->geometry();
    py::dict                      out;
    out["depth"]                    = g.n_layers;
    out["hidden_size"]              = g.hidden;
    out["num_heads"]                = g.n_heads;
    out["intermediate_size"]        = g.ffn_width;
    out["patch_size"]               = g.patch;
    out["temporal_patch_size"]      = 2;
    out["spatial_merge_size"]       = g.merge;
    out["num_position_embeddings"]  = g.side * g.side;
    out["out_hidden_size"]          = g.output_width;
    out["deepstack_visual_indexes"] = g.deepstack;
    return out;
}

std::unique_ptr<AudioEncoderSession> session(const MediaEncoders & encoders, int n_threads,
                                             std::shared_ptr<Probe> probe) {
    if (encoders.audio() == nullptr) {
        throw Error(ErrorKind::input, encoders.file().path() + " holds no audio encoder");
    }
    return std::make_unique<AudioEncoderSession>(encoders.audio(), n_threads, std::move(probe));
}

py::array_t<float> encode(AudioEncoderSession & self, const FloatArray & features) {
    require_matrix(features, "log-mel features");
    const auto         values = to_vector(features);
    const int64_t      frames = features.shape(1);
    Interruption       interruption;
    std::vector<float> rows;
    {
        LockReleased release;
        rows = self.encode(values, frames, [&] { return interruption.asked_to_stop(); });
    }
    interruption.raise();
    return to_rows(std::move(rows), self.encoder().geometry().output_width);
}

}  // namespace

void bind_audio_encoder(py::module_ & m) {
    py::class_<MediaEncoders, std::shared_ptr<MediaEncoders>>(
        m, "MediaEncoders", "The weights of an mmproj file. Immutable, shared by sessions.")
        .def(py::init<std::shared_ptr<GgufFile>, const std::string &, bool, bool>(), py::arg("file"), py::arg("device"),
             py::kw_only(), py::arg("mmap") = true, py::arg("plain") = false, py::call_guard<LockReleased>(),
             R"(From an open file in llama.cpp's layout. `mmap`: whether weights may stay in the file's pages.
`plain`: whether the CPU computes with ggml's ordinary operations, as other devices do.

Raises ModelFileError for a file that can't be used, InputError for a device there isn't, OutOfMemoryError.)")
        .def_static(
            "check", [](std::shared_ptr<GgufFile> file) { MediaEncoders::check(std::move(file)); }, py::arg("file"),
            "Raises what loading would raise, short of reading values.")
        .def_property_readonly("audio_geometry", &geometry,
                               "Sizes of the audio encoder, with the names of the Hugging Face configuration; None "
                               "where there is none.")
        .def_property_readonly("vision_geometry", &vision_geometry,
                               "Sizes of the vision encoder, with the names of the Hugging Face configuration; None "
                               "where there is none.")
        .def(
            "audio_tokens",
            [](const MediaEncoders & self, int64_t frames) {
                return self.audio() == nullptr ? 0 : self.audio()->geometry().n_tokens(frames);
            },
            py::arg("n_frames"), "Tokens that a clip of so many frames of features makes.")
        .def_property_readonly("on_cpu", &MediaEncoders::on_cpu, "Whether all of it is computed by this CPU.")
        .def_property_readonly("nbytes", &MediaEncoders::nbytes, "Bytes of weights.");

    py::class_<AudioEncoderSession>(m, "AudioEncoderSession", "Not for two threads at once.")
        .def(py::init(&session), py::arg("encoders"), py::arg("n_threads"), py::arg("probe"),
             "Raises InputError where the file holds no audio encoder, and for a number of threads that can't be.")
        .def("encode", &encode, py::arg("features"),
             R"(Log-mel features of one clip, float32 [mels, frames] -> rows for the thinker, float32 [tokens, width].

Raises InputError for another shape, for NaN and infinity, NumericError where the weights overflow.)");
}

}  // namespace omni

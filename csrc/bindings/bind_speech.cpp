#include <pybind11/stl.h>

#include <atomic>
#include <optional>

#include "bindings/arrays.h"
#include "bindings/bindings.h"
#include "speech/speech.h"

namespace py = pybind11;

namespace omni {

namespace {

const char * stop_name(StopReason stop) {
    switch (stop) {
        case StopReason::none: return "";
        case StopReason::eos: return "eos";
        case StopReason::frame_limit: return "frame_limit";
        case StopReason::cancelled: return "cancelled";
    }
    return "";
}

class BoundSpeech {
  public:
    BoundSpeech(std::shared_ptr<SpeechModel> model, const SpeechParams & params, int n_threads,
                std::shared_ptr<Probe> probe) :
        model_(model),
        speech_(model, params, n_threads, std::move(probe)) {}

    void begin(const std::vector<int32_t> & conversation, const std::vector<int32_t> & answer, int32_t speaker,
               const py::object & thinker_hidden) {
        std::vector<float> hidden;
        if (!thinker_hidden.is_none()) {
            const auto states = py::cast<FloatArray>(thinker_hidden);
            require_columns(states, model_->talker().geometry().thinker_hidden, "thinker hidden states");
            hidden = to_vector(states);
        }
        py::gil_scoped_release release;
        speech_.begin(conversation, answer, speaker, hidden);
    }

    void begin_from(const FloatArray & inputs, const FloatArray & trailing, const FloatArray & pad) {
        const int64_t width = model_->talker().geometry().decoder.hidden;
        require_columns(inputs, width, "the inputs of a talker prompt");
        require_columns(trailing, width, "the trailing text of a talker prompt");
        require_columns(pad, width, "the pad of a talker prompt");
        TalkerPrompt           prompt{ to_vector(inputs), to_vector(trailing), to_vector(pad) };
        py::gil_scoped_release release;
        speech_.begin(std::move(prompt));
    }

    // Codes [groups, frames].
    py::array_t<int32_t> frames(int64_t n) {
        std::vector<int32_t> drawn;
        {
            py::gil_scoped_release release;
            drawn = speech_.frames(n, [this] { return asked_to_stop(); });
        }
        const auto           groups = (py::ssize_t) model_->predictor().geometry().n_groups;
        const auto           count  = (py::ssize_t) drawn.size() / groups;
        std::vector<int32_t> by_group(drawn.size());
        for (py::ssize_t frame = 0; frame < count; ++frame) {
            for (py::ssize_t group = 0; group < groups; ++group) {
                by_group[(size_t) (group * count + frame)] = drawn[(size_t) (frame * groups + group)];
            }
        }
        return to_array(std::move(by_group), { groups, count });
    }

    void cancel() { cancelled_ = true; }

    bool interrupted() const { return raised_.has_value(); }

    // Raises what the signal's handler raised: KeyboardInterrupt, or an exception of the program's own.
    void raise_interruption() const {
        if (raised_) {
            throw py::error_already_set(*raised_);
        }
    }

    int64_t n_frames() const { return speech_.n_frames(); }

    const char * stop_reason() const { return stop_name(speech_.stop_reason()); }

  private:
    // Ctrl-C must not lose the frames already drawn: the signal is noted here and raised by the caller.
    bool asked_to_stop() {
        py::gil_scoped_acquire acquire;
        if (PyErr_CheckSignals() != 0) {
            raised_.emplace();
        }
        return interrupted() || cancelled_;
    }

    std::shared_ptr<SpeechModel>         model_;
    Speech                               speech_;
    std::atomic<bool>                    cancelled_{ false };
    std::optional<py::error_already_set> raised_;
};

}  // namespace

void bind_speech(py::module_ & m) {
    py::class_<BoundSpeech>(m, "Speech")
        .def(py::init<std::shared_ptr<SpeechModel>, const SpeechParams &, int, std::shared_ptr<Probe>>(),
             py::arg("model"), py::arg("params"), py::arg("n_threads"), py::arg("probe"))
        .def("begin", &BoundSpeech::begin, py::arg("conversation"), py::arg("answer"), py::arg("speaker"),
             py::arg("thinker_hidden") = py::none())
        .def("begin_from", &BoundSpeech::begin_from, py::arg("inputs"), py::arg("trailing"), py::arg("pad"))
        .def("frames", &BoundSpeech::frames, py::arg("n"))
        .def("cancel", &BoundSpeech::cancel)
        .def_property_readonly("n_frames", &BoundSpeech::n_frames)
        .def_property_readonly("interrupted", &BoundSpeech::interrupted)
        .def("raise_interruption", &BoundSpeech::raise_interruption)
        .def_property_readonly("stop_reason", &BoundSpeech::stop_reason);
}

}  // namespace omni

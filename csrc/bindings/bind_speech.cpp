#include <pybind11/stl.h>

#include "bindings/arrays.h"
#include "bindings/bindings.h"
#include "bindings/interruption.h"
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
            drawn = speech_.frames(n, [this] { return interruption_.asked_to_stop(); });
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

    void cancel() { interruption_.cancel(); }

    bool interrupted() const { return interruption_.noted(); }

    void raise_interruption() const { interruption_.raise(); }

    int64_t n_frames() const { return speech_.n_frames(); }

    const char * stop_reason() const { return stop_name(speech_.stop_reason()); }

  private:
    std::shared_ptr<SpeechModel> model_;
    Speech                       speech_;
    Interruption                 interruption_;
};

// Several speeches together.
class BoundBatch {
  public:
    BoundBatch(std::shared_ptr<SpeechModel> model, int64_t n_places, int n_threads, std::shared_ptr<Probe> probe) :
        model_(model),
        batch_(model, checked(n_places), n_threads, std::move(probe)) {}

    void begin(int64_t place, const SpeechParams & params, const std::vector<int32_t> & conversation,
               const std::vector<int32_t> & answer, int32_t speaker) {
        py::gil_scoped_release release;
        batch_.begin(place, params, conversation, answer, speaker, {});
    }

    // For every place the codes of its next frame, or none.
    std::vector<std::vector<int32_t>> step() {
        py::gil_scoped_release release;
        if (interruption_.asked_to_stop()) {
            batch_.cancel();
        }
        return batch_.step();
    }

    bool speaking() const { return batch_.speaking(); }

    const char * stop_reason(int64_t place) const {
        if (place < 0 || place >= batch_.n_places()) {
            throw Error(ErrorKind::input, "there is no place " + std::to_string(place));
        }
        return stop_name(batch_.stop_reason(place));
    }

    void raise_interruption() const { interruption_.raise(); }

  private:
    static int64_t checked(int64_t n_places) {
        if (n_places < 1 || n_places > 1024) {
            throw Error(ErrorKind::input, "a batch holds 1 to 1024 speeches");
        }
        return n_places;
    }

    std::shared_ptr<SpeechModel> model_;
    SpeechBatch                  batch_;
    Interruption                 interruption_;
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
    py::class_<BoundBatch>(m, "SpeechBatch")
        .def(py::init<std::shared_ptr<SpeechModel>, int64_t, int, std::shared_ptr<Probe>>(), py::arg("model"),
             py::arg("n_places"), py::arg("n_threads"), py::arg("probe"))
        .def("begin", &BoundBatch::begin, py::arg("place"), py::arg("params"), py::arg("conversation"),
             py::arg("answer"), py::arg("speaker"))
        .def("step", &BoundBatch::step)
        .def_property_readonly("speaking", &BoundBatch::speaking)
        .def("stop_reason", &BoundBatch::stop_reason, py::arg("place"))
        .def("raise_interruption", &BoundBatch::raise_interruption);
}

}  // namespace omni

#include <pybind11/stl.h>

#include "bindings/arrays.h"
#include "bindings/bindings.h"
#include "bindings/interpreter_lock.h"
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
        case StopReason::context_full: return "context_full";
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
               const std::optional<FloatArray> & thinker_hidden) {
        const auto   hidden = thinker_states(thinker_hidden, model_->talker()->geometry().thinker_hidden);
        LockReleased release;
        speech_.begin(conversation, answer, speaker, hidden);
    }

    void begin_from(const FloatArray & inputs, const FloatArray & trailing, const FloatArray & pad) {
        const int64_t width = model_->talker()->geometry().decoder.hidden;
        require_columns(inputs, width, "the inputs of a talker prompt");
        require_columns(trailing, width, "the trailing text of a talker prompt");
        require_columns(pad, width, "the pad of a talker prompt");
        TalkerPrompt prompt{ to_vector(inputs), to_vector(trailing), to_vector(pad) };
        LockReleased release;
        speech_.begin(std::move(prompt));
    }

    py::array_t<int32_t> frames(int64_t n) {
        std::vector<int32_t> codes;
        {
            LockReleased release;
            codes = speech_.frames(n, [this] { return interruption_.asked_to_stop(); });
        }
        const auto groups = (py::ssize_t) model_->predictor()->geometry().n_groups;
        const auto count  = (py::ssize_t) codes.size() / groups;
        return to_array(std::move(codes), { groups, count });
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
    BoundBatch(std::shared_ptr<SpeechModel> model, int64_t n_slots, int n_threads, std::shared_ptr<Probe> probe) :
        model_(model),
        batch_(model, n_slots, n_threads, std::move(probe)) {}

    void begin(int64_t slot, const SpeechParams & params, const std::vector<int32_t> & conversation,
               const std::vector<int32_t> & answer, int32_t speaker) {
        LockReleased release;
        batch_.begin(slot, params, conversation, answer, speaker, {});
    }

    // For every slot the codes of its next frame, or none.
    std::vector<std::vector<int32_t>> step() {
        LockReleased release;
        if (interruption_.asked_to_stop()) {
            batch_.cancel();
        }
        return batch_.step();
    }

    bool speaking() const { return batch_.speaking(); }

    const char * stop_reason(int64_t slot) const { return stop_name(batch_.stop_reason(slot)); }

    void raise_interruption() const { interruption_.raise(); }

  private:
    std::shared_ptr<SpeechModel> model_;
    SpeechBatch                  batch_;
    Interruption                 interruption_;
};

}  // namespace

void bind_speech(py::module_ & m) {
    const char * raise_interruption = "Raises what a signal's handler raised meanwhile, such as KeyboardInterrupt.";
    py::class_<BoundSpeech>(m, "Speech", "One speech, frame by frame. Not for two threads at once.")
        .def(py::init<std::shared_ptr<SpeechModel>, const SpeechParams &, int, std::shared_ptr<Probe>>(),
             py::arg("model"), py::arg("params"), py::arg("n_threads"), py::arg("probe"),
             "Raises InputError for parameters or a number of threads that make no sense.")
        .def("begin", &BoundSpeech::begin, py::arg("conversation"), py::arg("answer"), py::arg("speaker"),
             py::kw_only(), py::arg("thinker_hidden") = py::none(),
             "What to speak, once; arguments and errors as in TalkerSession.assemble_prompt.")
        .def("begin_from", &BoundSpeech::begin_from, py::arg("inputs"), py::arg("trailing"), py::arg("pad"),
             "The same from inputs [n, hidden], trailing [m, hidden] and pad [1, hidden].")
        .def("frames", &BoundSpeech::frames, py::arg("n"),
             "Up to n further frames, int32 [groups, frames]; fewer when the speech ends.")
        .def("cancel", &BoundSpeech::cancel, "Ends the speech before its next frame. From any thread.")
        .def_property_readonly("n_frames", &BoundSpeech::n_frames, "Frames so far.")
        .def_property_readonly("interrupted", &BoundSpeech::interrupted, "Whether a signal ended the speech.")
        .def("raise_interruption", &BoundSpeech::raise_interruption, raise_interruption)
        .def_property_readonly("stop_reason", &BoundSpeech::stop_reason,
                               R"("eos", "frame_limit", "context_full" or "cancelled"; "" while it goes on.)");
    py::class_<BoundBatch>(m, "SpeechBatch",
                           "Places in which speeches are spoken together; each says what it says alone.")
        .def(py::init<std::shared_ptr<SpeechModel>, int64_t, int, std::shared_ptr<Probe>>(), py::arg("model"),
             py::arg("n_slots"), py::arg("n_threads"), py::arg("probe"),
             "Raises InputError for a number of slots or threads that can't be.")
        .def("begin", &BoundBatch::begin, py::arg("slot"), py::arg("params"), py::kw_only(), py::arg("conversation"),
             py::arg("answer"), py::arg("speaker"), "A speech in a slot that is free. Raises InputError for another.")
        .def("step", &BoundBatch::step, "The next frame of every speech, [groups] a slot; empty where there is none.")
        .def_property_readonly("speaking", &BoundBatch::speaking, "Whether a speech goes on.")
        .def("stop_reason", &BoundBatch::stop_reason, py::arg("slot"), "As Speech.stop_reason, of a slot.")
        .def("raise_interruption", &BoundBatch::raise_interruption, raise_interruption);
}

}  // namespace omni

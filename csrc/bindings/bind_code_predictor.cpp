#include <pybind11/stl.h>

#include "bindings/arrays.h"
#include "bindings/bindings.h"
#include "bindings/interpreter_lock.h"
#include "speech/speech_model.h"

namespace py = pybind11;

namespace omni {

namespace {

std::shared_ptr<CodePredictorSession> session(const SpeechModel & model, int64_t n_sequences, int n_threads,
                                              std::shared_ptr<Probe> probe) {
    return std::make_shared<CodePredictorSession>(model.predictor(), model.talker()->code_table(), n_sequences,
                                                  n_threads, std::move(probe));
}

py::array_t<float> start(CodePredictorSession & self, const FloatArray & hidden, const std::vector<int32_t> & codes) {
    const auto         states = to_vector(hidden);
    std::vector<float> logits;
    {
        LockReleased release;
        logits = self.start(states, codes);
        self.check_logits(logits);
    }
    return to_rows(std::move(logits), self.predictor().geometry().vocab);
}

py::array_t<float> next(CodePredictorSession & self, const std::vector<int32_t> & codes) {
    std::vector<float> logits;
    {
        LockReleased release;
        logits = self.next(codes);
        self.check_logits(logits);
    }
    return to_rows(std::move(logits), self.predictor().geometry().vocab);
}

}  // namespace

void bind_code_predictor(py::module_ & m) {
    py::class_<CodePredictorSession, std::shared_ptr<CodePredictorSession>>(
        m, "CodePredictorSession", "The steps of a frame, for a batch of speeches. Not for two threads at once.")
        .def(py::init(&session), py::arg("model"), py::arg("n_sequences"), py::arg("n_threads"), py::arg("probe"),
             "Raises InputError for a batch or a number of threads that can't be.")
        .def(
            "start", &start, py::arg("hidden"), py::arg("codes"),
            R"(Starts a frame: talker hidden states [sequences, hidden] and first codes [sequences] -> logits of code 1,
float32 [sequences, vocabulary]. Raises InputError for other shapes and for codes that there aren't.)")
        .def("next", &next, py::arg("codes"),
             R"(The codes just chosen [sequences] -> logits of the next group, float32 [sequences, vocabulary].

Raises InputError where the frame has no further group.)");
}

}  // namespace omni

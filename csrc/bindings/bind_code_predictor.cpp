#include <pybind11/stl.h>

#include "bindings/arrays.h"
#include "bindings/bindings.h"
#include "models/speech_model.h"

namespace py = pybind11;

namespace omni {

namespace {

struct BoundPredictor {
    std::shared_ptr<const SpeechModel>    model;
    std::shared_ptr<CodePredictorSession> session;

    py::array_t<float> logits(std::vector<float> values) const {
        const auto vocab = (py::ssize_t) model->predictor().geometry().vocab;
        const auto n     = (py::ssize_t) values.size() / vocab;
        return to_array(std::move(values), { n, vocab });
    }
};

}  // namespace

void bind_code_predictor(py::module_ & m) {
    py::class_<BoundPredictor>(m, "CodePredictorSession")
        .def(py::init([](std::shared_ptr<SpeechModel> model, int64_t n_sequences, int n_threads,
                         std::shared_ptr<Probe> probe) {
                 if (n_sequences < 1 || n_sequences > 1024) {
                     throw Error(ErrorKind::input, "a batch holds 1 to 1024 speeches");
                 }
                 return BoundPredictor{ model, std::make_shared<CodePredictorSession>(model, n_sequences, n_threads,
                                                                                      std::move(probe)) };
             }),
             py::arg("model"), py::arg("n_sequences"), py::arg("n_threads"), py::arg("probe"))
        .def(
            "start",
            [](BoundPredictor & self, const FloatArray & hidden, const std::vector<int32_t> & codes) {
                const auto         states = to_vector(hidden);
                std::vector<float> out;
                {
                    py::gil_scoped_release release;
                    out = self.session->start(states, codes);
                }
                return self.logits(std::move(out));
            },
            py::arg("hidden"), py::arg("codes"))
        .def(
            "next",
            [](BoundPredictor & self, const std::vector<int32_t> & codes) {
                std::vector<float> out;
                {
                    py::gil_scoped_release release;
                    out = self.session->next(codes);
                }
                return self.logits(std::move(out));
            },
            py::arg("codes"));
}

}  // namespace omni

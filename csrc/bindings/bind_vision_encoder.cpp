#include <pybind11/stl.h>

#include <array>

#include "bindings/arrays.h"
#include "bindings/bindings.h"
#include "bindings/interpreter_lock.h"
#include "bindings/interruption.h"
#include "speech/media_encoders.h"

namespace py = pybind11;

namespace omni {

namespace {

std::unique_ptr<VisionEncoderSession> session(const MediaEncoders & encoders, int n_threads,
                                              std::shared_ptr<Probe> probe) {
    if (encoders.vision() == nullptr) {
        throw Error(ErrorKind::input, encoders.file().path() + " holds no vision encoder");
    }
    return std::make_unique<VisionEncoderSession>(encoders.vision(), n_threads, std::move(probe));
}

py::tuple encode(VisionEncoderSession & self, const FloatArray & patches, const std::array<int64_t, 3> & grid) {
    require_columns(patches, self.encoder().geometry().patch_width(), "patches");
    const auto   values = to_vector(patches);
    Interruption interruption;
    VisionOutput out;
    {
        LockReleased release;
        out = self.encode(values, { grid[0], grid[1], grid[2] }, [&] { return interruption.asked_to_stop(); });
    }
    interruption.raise();
    const int64_t width = self.encoder().geometry().output_width;
    py::list      deepstack;
    for (auto & level : out.deepstack) {
        deepstack.append(to_rows(std::move(level), width));
    }
    return py::make_tuple(to_rows(std::move(out.rows), width), deepstack);
}

}  // namespace

void bind_vision_encoder(py::module_ & m) {
    py::class_<VisionEncoderSession>(m, "VisionEncoderSession", "Not for two threads at once.")
        .def(py::init(&session), py::arg("encoders"), py::arg("n_threads"), py::arg("probe"),
             "Raises InputError where the file holds no vision encoder, and for a number of threads that can't be.")
        .def(
            "encode", &encode, py::arg("patches"), py::arg("grid"),
            R"(Patches of an image or video, float32 [n, channels * 2 * patch * patch], block after block, and their grid [pairs of
frames, rows, columns] -> rows for the thinker, float32 [tokens, width], and a list of the same for each of its first
layers.

Raises InputError for another shape, for NaN and infinity, NumericError where the weights overflow.)");
}

}  // namespace omni

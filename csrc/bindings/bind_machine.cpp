#include <pybind11/stl.h>

#include "bench/machine.h"
#include "bindings/bindings.h"
#include "bindings/interpreter_lock.h"
#include "core/fastest_conv.h"
#include "threads/cpu_share.h"

namespace py = pybind11;

namespace omni {

namespace {

py::dict vocoder_choice() {
    ConvTimes times;
    {
        const LockReleased released;
        times = conv_times();
    }
    py::dict out;
    out["f32"]  = times.f32;
    out["bf16"] = times.bf16;
    out["auto"] = faster_form(times) == ConvForm::bf16 ? "bf16" : "f32";
    // A path, which need not be UTF-8.
    const std::string path = conv_times_path();
    out["kept_in"] =
        py::reinterpret_steal<py::object>(PyUnicode_DecodeFSDefaultAndSize(path.data(), (Py_ssize_t) path.size()));
    return out;
}

}  // namespace

void bind_machine(py::module_ & m) {
    const auto release = py::call_guard<LockReleased>();
    m.def("usable_cpus", &usable_cpus,
          "Threads that can run at once: CPUs of the process' affinity, at most as many as its control groups grant.");
    m.def(
        "vocoder_choice", &vocoder_choice,
        R"(What `vocoder_precision="auto"` is on this machine's CPU, and why: "f32" and "bf16", the milliseconds that the same
convolutions take in each, 0 where there is no choice; "auto", the name of the precision; "kept_in", the file that keeps the
figures, "" where none does.)");
    m.def("read_bandwidth", &read_bandwidth, py::arg("nbytes"), py::kw_only(), py::arg("n_threads"),
          py::arg("n_passes"), release,
          R"(Bytes a second of threads that only read memory from end to end, one figure for each pass.

Raises InputError for sizes or threads that make no sense, OutOfMemoryError.)");
    m.def(
        "product_throughput", &product_throughput, py::arg("type"), py::kw_only(), py::arg("inner"), py::arg("outputs"),
        py::arg("rows"), py::arg("n_threads"), py::arg("seconds"), release,
        R"(Multiply-adds a second of ggml's product of a weight [outputs, inner] of a type and rows [rows, inner] on the CPU.

Raises InputError for a type other than "f32", "f16", "bf16" and "q8_0", and for a shape that it can't have.)");
}

}  // namespace omni

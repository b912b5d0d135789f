#include <pybind11/stl.h>

#include "bindings/arrays.h"
#include "bindings/bindings.h"
#include "core/probe.h"

namespace py = pybind11;

namespace omni {

namespace {

const char * axes_name(Axes axes) {
    switch (axes) {
        case Axes::batch_time_channel: return "batch_time_channel";
        case Axes::batch_channel_time: return "batch_channel_time";
        case Axes::time_channel: return "time_channel";
        case Axes::batch_time_head_channel: return "batch_time_head_channel";
        case Axes::group_time_channel: return "group_time_channel";
        case Axes::chunk_time_channel: return "chunk_time_channel";
        case Axes::chunk_channel_mel_time: return "chunk_channel_mel_time";
    }
    return "";
}

// [batch, time, heads, channels / heads]; of chunks of audio the reference's own axes.
std::vector<py::ssize_t> shape_of(const ProbeChunk & chunk, Axes axes) {
    if (axes == Axes::chunk_time_channel) {
        return { chunk.time, chunk.channels / chunk.columns, chunk.columns };
    }
    if (axes == Axes::chunk_channel_mel_time) {
        return { chunk.time, chunk.heads, chunk.channels / chunk.heads / chunk.columns, chunk.columns };
    }
    return { chunk.batch, chunk.time, chunk.heads, chunk.channels / chunk.heads };
}

// {name: (axes, [array, ...])}
py::dict take(Probe & probe) {
    py::dict out;
    for (auto & entry : probe.take()) {
        py::list chunks;
        for (auto & chunk : entry.second.chunks) {
            const auto shape = shape_of(chunk, entry.second.axes);
            chunks.append(to_array(std::move(chunk.values), shape));
        }
        out[py::str(entry.first)] = py::make_tuple(axes_name(entry.second.axes), chunks);
    }
    return out;
}

void replace(Probe & probe, const std::string & name, const FloatArray & values) {
    probe.replace(name, { values.shape(), values.shape() + values.ndim() }, to_vector(values));
}

}  // namespace

void bind_probe(py::module_ & m) {
    py::class_<Probe, std::shared_ptr<Probe>>(
        m, "Probe",
        "Captures what modules compute, or puts other arrays in its place. Sessions "
        "take one when they are made.")
        .def(py::init<std::vector<std::string>, std::shared_ptr<Probe>>(), py::arg("patterns"),
             py::arg("outer") = nullptr,
             "Captures modules whose paths fit a pattern: `*` for one part of a path, `**` for any number. What it "
             "sees, "
             "`outer` sees as well, as far as it asks for it; what it does not replace, `outer` may.")
        .def("replace", &replace, py::arg("name"), py::arg("values"),
             "From now on the next positions of `values`, in the reference's axes, stand for what a module computes.")
        .def("unused_replacements", &Probe::unused_replacements, "Names whose replacement no module has taken so far.")
        .def("take", &take,
             "Moves out what was captured: name -> (axes, arrays float32 [batch, time, heads, channels of a head]).");
}

}  // namespace omni

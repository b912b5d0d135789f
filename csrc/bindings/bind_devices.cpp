#include "bindings/bindings.h"
#include "core/device.h"

namespace py = pybind11;

namespace omni {

namespace {

py::list devices() {
    py::list out;
    for (const auto & device : list_devices()) {
        py::dict entry;
        entry["name"]         = device.name;
        entry["description"]  = device.description;
        entry["kind"]         = device.kind;
        entry["memory_free"]  = device.memory_free;
        entry["memory_total"] = device.memory_total;
        out.append(entry);
    }
    return out;
}

}  // namespace

void bind_devices(py::module_ & m) {
    m.def("devices", &devices,
          R"(The devices of this build: name, description, kind, memory_free and memory_total (bytes) of each.)");
}

}  // namespace omni

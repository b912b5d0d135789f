// A device as drivers of GPUs are, as far as ggml sees: with memory that no CPU computes in, and an end of it that
// comes in the middle of a computation, which ggml knows no other word for than to give up.
#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>

#include "bindings/arrays.h"
#include "core/graph.h"
#include "ggml-backend-impl.h"
#include "test_bindings/test_bindings.h"

namespace py = pybind11;

namespace omni {

namespace {

constexpr const char * k_name = "Played0";

// What the driver says of the next computation; empty: nothing is wrong.
std::string next_error;

const char * name_of_type(ggml_backend_buffer_type_t /*type*/) {
    return k_name;
}

ggml_backend_buffer_t buffer_of(ggml_backend_buffer_type_t type, size_t size) {
    ggml_backend_buffer_t buffer = ggml_backend_buft_alloc_buffer(ggml_backend_cpu_buffer_type(), size);
    buffer->buft                 = type;
    return buffer;
}

size_t alignment_of(ggml_backend_buffer_type_t /*type*/) {
    return ggml_backend_buft_get_alignment(ggml_backend_cpu_buffer_type());
}

ggml_backend_buffer_type_t buffer_type(ggml_backend_dev_t device) {
    static ggml_backend_buffer_type type{};
    type.iface.get_name      = name_of_type;
    type.iface.alloc_buffer  = buffer_of;
    type.iface.get_alignment = alignment_of;
    type.device              = device;
    return &type;
}

// A driver's error as ggml-cuda has it: the reason and the place are logged, and what it gives up with names neither.
void check_driver() {
    if (next_error.empty()) {
        return;
    }
    const std::string line = "CUDA error: " + next_error + "\n";
    next_error.clear();
    ggml_log_callback log  = nullptr;
    void *            data = nullptr;
    ggml_log_get(&log, &data);
    log(GGML_LOG_LEVEL_ERROR, line.c_str(), data);
    log(GGML_LOG_LEVEL_ERROR, "  current device: 0, in function alloc at pool.cu:583\n", data);
    GGML_ABORT("CUDA error");
}

ggml_status compute(ggml_backend_t backend, ggml_cgraph * graph) {
    check_driver();
    return ggml_backend_graph_compute(static_cast<ggml_backend_t>(backend->context), graph);
}

ggml_backend_t started(ggml_backend_dev_t device, const char * /*parameters*/) {
    static ggml_guid guid{ 'p', 'l', 'a', 'y', 'e', 'd' };
    auto *           backend = new ggml_backend{};
    backend->guid            = &guid;
    backend->iface.get_name  = [](ggml_backend_t) { return k_name; };
    backend->iface.free      = [](ggml_backend_t it) {
        ggml_backend_free(static_cast<ggml_backend_t>(it->context));
        delete it;
    };
    backend->iface.graph_compute = compute;
    backend->device              = device;
    backend->context             = ggml_backend_init_by_type(GGML_BACKEND_DEVICE_TYPE_CPU, nullptr);
    return backend;
}

ggml_backend_reg_t registry() {
    static ggml_backend_reg one{};
    one.iface.get_name = [](ggml_backend_reg_t) { return "Played"; };
    return &one;
}

ggml_backend_dev_t played_device() {
    static ggml_backend_device one{};
    one.reg                   = registry();
    one.iface.get_name        = [](ggml_backend_dev_t) { return k_name; };
    one.iface.get_description = [](ggml_backend_dev_t) { return "a device that tests play"; };
    one.iface.get_memory      = [](ggml_backend_dev_t, size_t * free, size_t * total) { *free = *total = 0; };
    one.iface.get_type        = [](ggml_backend_dev_t) { return GGML_BACKEND_DEVICE_TYPE_GPU; };
    one.iface.get_props       = [](ggml_backend_dev_t, ggml_backend_dev_props * props) {
        props->type = GGML_BACKEND_DEVICE_TYPE_GPU;
    };
    one.iface.init_backend    = started;
    one.iface.get_buffer_type = buffer_type;
    one.iface.supports_op     = [](ggml_backend_dev_t, const ggml_tensor *) { return true; };
    one.iface.supports_buft   = [](ggml_backend_dev_t device, ggml_backend_buffer_type_t type) {
        return type == buffer_type(device);
    };
    return &one;
}

// A session on the device that adds 1 to numbers, whose driver can be told what to say of the next computation.
class Played {
  public:
    Played() : backends_(played_device(), 1), graph_(backends_, nullptr) {
        ggml_context * c = graph_.context();
        x_               = graph_.input(GGML_TYPE_F32, { 1 });
        sum_             = graph_.output(ggml_add(c, x_, graph_.constant(std::vector<float>{ 1.0f })));
        graph_.finish();
    }

    float add_one(float number, const std::string & error) {
        next_error = error;
        graph_.set(x_, &number, sizeof(number));
        graph_.compute();
        return graph_.read(sum_)[0];
    }

  private:
    Backends      backends_;
    Graph         graph_;
    ggml_tensor * x_   = nullptr;
    ggml_tensor * sum_ = nullptr;
};

}  // namespace

void bind_device(py::module_ & m) {
    py::class_<Played>(m, "PlayedDevice")
        .def(py::init<>())
        .def("add_one", &Played::add_one, py::arg("number"), py::kw_only(), py::arg("error") = "");
}

}  // namespace omni

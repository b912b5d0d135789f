#include "bindings/bindings.h"
#include "core/error.h"

namespace py = pybind11;

namespace omni {

namespace {

const char * class_name(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::file: return "ModelFileError";
        case ErrorKind::input: return "InputError";
        case ErrorKind::memory: return "OutOfMemoryError";
        case ErrorKind::numeric: return "NumericError";
        case ErrorKind::internal: return "OmniError";
    }
    return "OmniError";
}

void raise(ErrorKind kind, const std::string & message) {
    const py::object type = py::module_::import("omniggml.errors").attr(class_name(kind));
    PyErr_SetString(type.ptr(), message.c_str());
}

}  // namespace

void bind_errors(py::module_ & /*m*/) {
    py::register_exception_translator([](std::exception_ptr pointer) {
        try {
            if (pointer) {
                std::rethrow_exception(pointer);
            }
        } catch (const Error & error) {
            raise(error.kind(), error.what());
        } catch (const std::bad_alloc &) {
            raise(ErrorKind::memory, "not enough memory");
        }
    });
}

}  // namespace omni

#include "bindings/bindings.h"
#include "error/error.h"

namespace py = pybind11;

namespace omni {

namespace {

const char * class_name(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::file: return "ModelFileError";
        case ErrorKind::input: return "InputError";
        case ErrorKind::memory: return "OutOfMemoryError";
        case ErrorKind::numeric: return "NumericError";
        case ErrorKind::busy: return "BusyError";
        case ErrorKind::internal: return "OmniError";
    }
    return "OmniError";
}

void raise(ErrorKind kind, const std::string & message) {
    const py::object type = py::module_::import("omniggml.errors").attr(class_name(kind));
    // Paths come as bytes from the file system, and names as bytes from files: they need not be UTF-8.
    const auto text = py::reinterpret_steal<py::str>(
        PyUnicode_DecodeUTF8(message.data(), (py::ssize_t) message.size(), "backslashreplace"));
    PyErr_SetObject(type.ptr(), text.ptr());
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
        } catch (const std::length_error &) {
            raise(ErrorKind::memory, "not enough memory");
        } catch (const std::system_error & error) {
            raise(ErrorKind::internal, std::string("the system refused a resource: ") + error.what());
        }
    });
}

}  // namespace omni

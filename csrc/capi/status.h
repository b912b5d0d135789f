// From exceptions to statuses: what every function of the C interface is wrapped in.
#pragma once

#include <string>

#include "capi/omniggml.h"
#include "core/ggml_abort.h"
#include "error/error.h"

namespace omni {

// What is thrown in this thread becomes its last error. To be called while it is handled.
omni_status note_exception() noexcept;

void note_error(const char * message) noexcept;

// Calls a function that returns a status or throws.
template <typename Function> omni_status guarded(Function && function) noexcept {
    try {
        catch_ggml_aborts();
        return function();
    } catch (...) {
        return note_exception();
    }
}

// Throws Error(input) for an argument that is missing.
template <typename T> T & required(T * argument, const char * name) {
    if (argument == nullptr) {
        throw Error(ErrorKind::input, "NULL was given for " + std::string(name));
    }
    return *argument;
}

// Throws Error(input) for parameters of another version of the header; the defaults where there are none.
template <typename T> T checked_params(const T * params, const T & defaults) {
    if (params == nullptr) {
        return defaults;
    }
    if (params->abi_version != OMNI_ABI_VERSION) {
        throw Error(ErrorKind::input, "the parameters have the ABI version " + std::to_string(params->abi_version) +
                                          ", the library has " + std::to_string(OMNI_ABI_VERSION) +
                                          ": take them from the *_default_params() function, and compile anew");
    }
    return *params;
}

// Fills a caller's buffer as far as it goes, and says how much there is.
template <typename T, typename Values>
omni_status fill(const Values & values, T * buffer, size_t capacity, size_t * n, const char * name) {
    required(n, "the place of the size");
    if (capacity > 0) {
        required(buffer, name);
    }
    *n = values.size();
    for (size_t i = 0; i < values.size() && i < capacity; ++i) {
        buffer[i] = values[i];
    }
    if (values.size() > capacity) {
        note_error("the buffer is too small; how much is needed was stored");
        return OMNI_ERROR_TOO_SMALL;
    }
    return OMNI_OK;
}

}  // namespace omni

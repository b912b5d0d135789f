#include "capi/status.h"

#include <cstdio>
#include <new>
#include <stdexcept>
#include <system_error>

namespace omni {

namespace {

// As long as the longest message of an Error; no memory has to be had for it.
thread_local char last_error[4100] = "";

omni_status status_of(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::file: return OMNI_ERROR_FILE;
        case ErrorKind::input: return OMNI_ERROR_ARGUMENT;
        case ErrorKind::busy: return OMNI_ERROR_BUSY;
        case ErrorKind::memory: return OMNI_ERROR_MEMORY;
        case ErrorKind::numeric: return OMNI_ERROR_NUMERIC;
        case ErrorKind::internal: return OMNI_ERROR_INTERNAL;
    }
    return OMNI_ERROR_INTERNAL;
}

}  // namespace

void note_error(const char * message) noexcept {
    std::snprintf(last_error, sizeof(last_error), "%s", message);
}

omni_status note_exception() noexcept {
    try {
        throw;
    } catch (const Error & error) {
        note_error(error.what());
        return status_of(error.kind());
    } catch (const std::bad_alloc &) {
        note_error("not enough memory");
        return OMNI_ERROR_MEMORY;
    } catch (const std::length_error &) {
        note_error("not enough memory");
        return OMNI_ERROR_MEMORY;
    } catch (const std::system_error & error) {
        std::snprintf(last_error, sizeof(last_error), "the system refused a resource: %s", error.what());
        return OMNI_ERROR_INTERNAL;
    } catch (const std::exception & error) {
        note_error(error.what());
        return OMNI_ERROR_INTERNAL;
    } catch (...) {
        note_error("an unknown failure");
        return OMNI_ERROR_INTERNAL;
    }
}

}  // namespace omni

extern "C" {

const char * omni_last_error(void) {
    return omni::last_error;
}
}

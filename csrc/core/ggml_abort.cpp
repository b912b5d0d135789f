#include "core/ggml_abort.h"

#include <cstdio>
#include <cstring>
#include <string>

#include "core/ggml_log.h"
#include "error/error.h"
#include "ggml.h"

namespace omni {

namespace {

thread_local bool catching  = false;
thread_local bool computing = false;

bool says_no_memory(const char * error) {
    return std::strstr(error, "out of memory") != nullptr || std::strstr(error, "ALLOC_FAILED") != nullptr;
}

// Of "file:line: what", what.
const char * without_place(const char * message) {
    const char * colon = std::strstr(message, ": ");
    return colon != nullptr ? colon + 2 : message;
}

// Called in place of ggml's own report, which ends in abort() as soon as this returns.
void on_ggml_abort(const char * message) {
    const char * slash = std::strrchr(message, '/');
    const char * what  = slash != nullptr ? slash + 1 : message;
    // A driver's error is logged, and the message only names the driver.
    const char * driver = error_logged(without_place(what));
#if !defined(_MSC_VER)
    if (catching && says_no_memory(driver)) {
        throw Error(ErrorKind::memory, std::string("the device's memory ran out (") + driver +
                                           "); end what else uses it, or take a smaller model or a shorter text");
    }
    if (catching && !computing) {
        throw Error(ErrorKind::internal, std::string("ggml gave up: ") + what +
                                             (*driver != '\0' ? std::string(", that is, ") + driver : ""));
    }
#endif
    std::fprintf(stderr, "omniggml: ggml gave up and ends the process: %s%s%s\n", what,
                 *driver != '\0' ? ", that is, " : "", driver);
}

}  // namespace

void catch_ggml_aborts() {
    static const bool installed = (ggml_set_abort_callback(on_ggml_abort), read_along_with_ggml(), true);
    catching                    = installed;
}

CatchScope::CatchScope() : before_(catching) {
    catch_ggml_aborts();
}

CatchScope::~CatchScope() {
    catching = before_;
}

ComputeScope::ComputeScope() {
    computing = true;
}

ComputeScope::~ComputeScope() {
    computing = false;
}

}  // namespace omni

#include "core/ggml_abort.h"

#include <cstdio>
#include <cstring>
#include <string>

#include "error/error.h"
#include "ggml.h"

namespace omni {

namespace {

thread_local bool catching  = false;
thread_local bool computing = false;

// Called in place of ggml's own report, which ends in abort() as soon as this returns.
void on_ggml_abort(const char * message) {
    const char * slash = std::strrchr(message, '/');
    const char * what  = slash != nullptr ? slash + 1 : message;
#if !defined(_MSC_VER)
    if (catching && !computing) {
        throw Error(ErrorKind::internal, std::string("ggml gave up: ") + what);
    }
#endif
    std::fprintf(stderr, "omniggml: ggml gave up and ends the process: %s\n", what);
}

}  // namespace

void catch_ggml_aborts() {
    static const bool installed = (ggml_set_abort_callback(on_ggml_abort), true);
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

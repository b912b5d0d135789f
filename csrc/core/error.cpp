#include "core/error.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "ggml.h"

namespace omni {

namespace {

constexpr size_t k_longest_message = 4000;

thread_local bool catching  = false;
thread_local bool computing = false;

// Messages quote what files hold: names with line ends, terminal codes or a megabyte of text.
std::string one_sentence(std::string message) {
    if (message.size() > k_longest_message) {
        message.resize(k_longest_message);
        message += "...";
    }
    for (char & c : message) {
        if ((unsigned char) c < 32 || c == 127) {
            c = '?';
        }
    }
    return message;
}

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

Error::Error(ErrorKind kind, const std::string & message) : std::runtime_error(one_sentence(message)), kind_(kind) {}

void catch_ggml_aborts() {
    static const bool installed = (ggml_set_abort_callback(on_ggml_abort), true);
    catching                    = installed;
}

ComputeScope::ComputeScope() {
    computing = true;
}

ComputeScope::~ComputeScope() {
    computing = false;
}

}  // namespace omni

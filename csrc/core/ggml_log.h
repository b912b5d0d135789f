// What ggml logs: passed on to one listener, and looked through for what a driver says before ggml gives up.
#pragma once

#include "ggml.h"

namespace omni {

// From now on `listener` gets what ggml logs; nullptr: it goes to stderr.
void listen_to_ggml(ggml_log_callback listener, void * data);

// Looks through the lines of whoever listens now.
void read_along_with_ggml();

// What was last logged as an error in this thread, where it begins with `what` and a colon: a line without its end,
// else empty. Asked for once. Takes no memory.
const char * error_logged(const char * what);

}  // namespace omni

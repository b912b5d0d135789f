// Which process this is: threads don't follow into one that is forked.
#pragma once

#if defined(_WIN32)
#include <process.h>
#else
#include <unistd.h>
#endif

namespace omni {

inline long process_id() {
#if defined(_WIN32)
    return (long) _getpid();
#else
    return (long) getpid();
#endif
}

}  // namespace omni

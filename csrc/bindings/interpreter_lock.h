// The interpreter's lock, given up for native work and taken again.
//
// While the interpreter ends it stops the daemon threads that ask for its lock: Python before 3.14 by ending them from
// within, which in C++ ends the whole process. Here they sleep instead until the process is gone, as in later versions.
#pragma once

#include <pybind11/pybind11.h>

#include <chrono>
#include <thread>
#if __has_include(<cxxabi.h>)
#include <cxxabi.h>
#endif

namespace omni {

[[noreturn]] inline void sleep_until_the_process_ends() {
    while (true) {
        std::this_thread::sleep_for(std::chrono::hours(1));
    }
}

inline bool interpreter_ends() {
#if PY_VERSION_HEX >= 0x030D0000
    return Py_IsFinalizing() != 0;
#else
    return _Py_IsFinalizing() != 0;
#endif
}

template <typename Take> void take_lock(const Take & take) {
    if (interpreter_ends()) {
        sleep_until_the_process_ends();
    }
#if defined(__GLIBCXX__)
    try {
        take();
    } catch (const abi::__forced_unwind &) {
        sleep_until_the_process_ends();
    }
#else
    take();
#endif
}

// Without the lock while one lives. The thread that ends the interpreter keeps it: there is nobody to give it to, and
// what it collects last of all would not get it back.
class LockReleased {
  public:
    LockReleased() : state_(interpreter_ends() ? nullptr : PyEval_SaveThread()) {}

    ~LockReleased() {
        if (state_ != nullptr) {
            take_lock([this] { PyEval_RestoreThread(state_); });
        }
    }

    LockReleased(const LockReleased &)             = delete;
    LockReleased & operator=(const LockReleased &) = delete;

  private:
    PyThreadState * state_;
};

// With the lock while one lives, in a thread that has given it up.
class LockTaken {
  public:
    LockTaken() {
        take_lock([this] { state_ = PyGILState_Ensure(); });
    }

    ~LockTaken() { PyGILState_Release(state_); }

    LockTaken(const LockTaken &)             = delete;
    LockTaken & operator=(const LockTaken &) = delete;

  private:
    PyGILState_STATE state_{};
};

}  // namespace omni

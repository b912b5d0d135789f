// Ctrl-C while a speech goes on.
#pragma once

#include <pybind11/pybind11.h>

#include <atomic>
#include <optional>

#include "bindings/interpreter_lock.h"

namespace omni {

// A signal must not lose the frames already drawn: it is noted between frames, and raised once the caller asks.
class Interruption {
  public:
    // Asked once a frame, without the GIL held.
    bool asked_to_stop() {
        const LockTaken taken;
        if (PyErr_CheckSignals() != 0) {
            raised_.emplace();
        }
        return noted() || cancelled_;
    }

    void cancel() { cancelled_ = true; }

    bool noted() const { return raised_.has_value(); }

    // Raises what the signal's handler raised: KeyboardInterrupt, or an exception of the program's own.
    void raise() const {
        if (raised_) {
            throw pybind11::error_already_set(*raised_);
        }
    }

  private:
    std::atomic<bool>                          cancelled_{ false };
    std::optional<pybind11::error_already_set> raised_;
};

}  // namespace omni

// The engine's clock: seconds since, running means, deadlines.
#pragma once

#include <algorithm>
#include <chrono>

#include "speech/speech_job.h"

namespace omni {

inline double seconds_since(EngineClock::time_point start) {
    return std::chrono::duration<double>(EngineClock::now() - start).count();
}

// A running mean, to which the newest value counts a fifth.
inline void learn(double & mean, double value) {
    constexpr double k_newest = 0.2;
    mean                      = mean == 0 ? value : (1 - k_newest) * mean + k_newest * value;
}

inline EngineClock::time_point time_after(std::chrono::duration<double> timeout) {
    // Beyond a year nobody waits, and the clock must not overflow.
    const double seconds = timeout.count() > 0 ? std::min(timeout.count(), 3e7) : 0.0;  // of NaN, too
    return EngineClock::now() +
           std::chrono::duration_cast<EngineClock::duration>(std::chrono::duration<double>(seconds));
}

}  // namespace omni

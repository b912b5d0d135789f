// How many threads get most done at the moment. A team goes from step to step together, so where other programs have a
// part of the cores each step waits for whichever thread has none just then: with every core of a machine taken, two
// threads get a tenth of the work done that one does alone. So teams are measured now and then while they work; where
// less than half of their threads' time is work, fewer threads are tried, and later more again.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

namespace omni {

class Crowd {
  public:
    // Threads for a team that n were asked for.
    int team_for(int n) const;

    // Whether a piece of work that begins now is to be measured.
    bool due(int64_t now);

    // `size` threads, where n were asked for, did `useful` of work in `wall`, all in nanoseconds.
    void report(int n, int size, int64_t now, int64_t wall, int64_t useful);

  private:
    void decide(int n, int size, int64_t now);
    void compare(double speed, int64_t now);
    int  fewer(int n, int halvings);

    std::atomic<int>     halvings_{ 0 };  // n threads asked for become n / 2^halvings
    std::atomic<int64_t> measured_at_{ 0 };
    std::mutex           mutex_;
    int64_t              wall_ = 0, useful_ = 0;  // since the last decision
    // While another number is tried: what it is compared with.
    bool    trying_       = false;
    bool    try_one_      = false;
    int     before_       = 0;
    double  speed_before_ = 0;
    int64_t try_at_       = 0;
    int64_t patience_     = 0;
};

}  // namespace omni

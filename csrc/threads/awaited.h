// A number that grows, and threads that wait until it has: awake for a while, then asleep. What is waited for in a
// computation mostly comes within microseconds, sooner than a sleeping thread wakes; on a busy machine it can take
// milliseconds, for which others have the core.
#pragma once

#include <atomic>
#include <cstdint>

namespace omni {

// Of a clock that never goes back.
int64_t nanoseconds();

// Nanoseconds that the calling thread has had a core for; on Windows as nanoseconds().
int64_t time_on_core();

class Awaited {
  public:
    Awaited()                            = default;
    Awaited(const Awaited &)             = delete;
    Awaited & operator=(const Awaited &) = delete;

    uint32_t now() const { return value_.load(std::memory_order_acquire); }

    // Adds one and wakes whoever waits.
    void advance();

    // Returns when the number is another than `seen`.
    void wait_while(uint32_t seen);

    // Nanoseconds that the calling thread has been awake in wait_while, short waits left out.
    static int64_t awake_in_vain();

  private:
    bool wait_awake(uint32_t seen) const;
    void wait_asleep(uint32_t seen);

    std::atomic<uint32_t> value_{ 0 };
    std::atomic<uint32_t> sleepers_{ 0 };
};

}  // namespace omni

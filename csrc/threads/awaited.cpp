#include "threads/awaited.h"

#include <chrono>

#if !defined(_WIN32)
#include <time.h>
#endif

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#else
#include <condition_variable>
#include <mutex>
#endif

namespace omni {

namespace {

// Nanoseconds that a thread stays awake while it waits. With 5,000 a speech takes a third longer on a quiet machine,
// with 200,000 no less.
constexpr int64_t k_awake = 50'000;

thread_local int64_t in_vain = 0;

inline void pause() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield" ::: "memory");
#endif
}

#if defined(__linux__)

void sleep_while(std::atomic<uint32_t> & value, uint32_t seen) {
    static_assert(sizeof(value) == sizeof(uint32_t), "the kernel waits for 32 bits");
    syscall(SYS_futex, &value, FUTEX_WAIT_PRIVATE, seen, nullptr, nullptr, 0);
}

void wake_all(std::atomic<uint32_t> & value) {
    constexpr int k_everybody = 0x7fffffff;
    syscall(SYS_futex, &value, FUTEX_WAKE_PRIVATE, k_everybody, nullptr, nullptr, 0);
}

#else

// One bed for all: few sleep at a time. Never destroyed, since threads may sleep while the process ends.
struct Bed {
    std::mutex              mutex;
    std::condition_variable woken;
};

Bed & bed() {
    static Bed & only = *new Bed;
    return only;
}

void sleep_while(std::atomic<uint32_t> & value, uint32_t seen) {
    std::unique_lock<std::mutex> lock(bed().mutex);
    bed().woken.wait(lock, [&] { return value.load() != seen; });
}

void wake_all(std::atomic<uint32_t> & /*value*/) {
    // The lock, so that nobody who has looked at the number is yet to lie down.
    std::lock_guard<std::mutex> lock(bed().mutex);
    bed().woken.notify_all();
}

#endif

}  // namespace

int64_t nanoseconds() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

int64_t time_on_core() {
#if defined(_WIN32)
    return nanoseconds();
#else
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t) t.tv_sec * 1'000'000'000 + t.tv_nsec;
#endif
}

int64_t Awaited::awake_in_vain() {
    return in_vain;
}

void Awaited::advance() {
    value_.fetch_add(1);
    if (sleepers_.load() != 0) {
        wake_all(value_);
    }
}

void Awaited::wait_while(uint32_t seen) {
    if (!wait_awake(seen)) {
        wait_asleep(seen);
    }
}

bool Awaited::wait_awake(uint32_t seen) const {
    constexpr int k_looks = 32;  // between two looks at the clock
    int64_t       begun   = 0;
    int64_t       waited  = 0;
    bool          changed = false;
    while (!changed && waited < k_awake) {
        for (int i = 0; i < k_looks && !changed; ++i) {
            changed = value_.load(std::memory_order_acquire) != seen;
            pause();
        }
        if (!changed) {
            const int64_t now = nanoseconds();
            begun             = begun == 0 ? now : begun;
            waited            = now - begun;
        }
    }
    in_vain += waited;
    return changed;
}

void Awaited::wait_asleep(uint32_t seen) {
    sleepers_.fetch_add(1);
    while (value_.load() == seen) {
        sleep_while(value_, seen);
    }
    sleepers_.fetch_sub(1);
}

}  // namespace omni

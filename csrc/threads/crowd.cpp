#include "threads/crowd.h"

#include <algorithm>

namespace omni {

namespace {

constexpr int64_t k_millisecond = 1'000'000;

// Measuring costs two microseconds.
constexpr int64_t k_between_measurements = k_millisecond / 5;

// Other programs come and go in slices of a few milliseconds; a decision looks at more of them, unless it is plain.
constexpr int64_t k_enough      = 24 * k_millisecond;
constexpr int64_t k_enough_here = 8 * k_millisecond;
constexpr double  k_plain       = 0.3;

constexpr double k_crowded = 0.5;

// Until another number is tried again; twice as long after every try that brought nothing.
constexpr int64_t k_least_patience = 50 * k_millisecond;
constexpr int64_t k_most_patience  = 400 * k_millisecond;

// More threads have to be worth it; fewer leave more to others.
constexpr double k_gain_of_more = 1.1;

}  // namespace

int Crowd::team_for(int n) const {
    return std::max(1, n >> halvings_.load(std::memory_order_relaxed));
}

bool Crowd::due(int64_t now) {
    int64_t last = measured_at_.load(std::memory_order_relaxed);
    return now - last >= k_between_measurements && measured_at_.compare_exchange_strong(last, now);
}

void Crowd::report(int n, int size, int64_t now, int64_t wall, int64_t useful) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (size != team_for(n)) {
        return;  // begun before the last decision
    }
    wall_ += wall;
    useful_ += useful;
    const bool plain = (double) useful_ < k_plain * size * (double) wall_;
    if (wall_ >= (plain ? k_enough_here : k_enough)) {
        decide(n, size, now);
        wall_ = useful_ = 0;
    }
}

void Crowd::decide(int n, int size, int64_t now) {
    const double speed = (double) useful_ / (double) wall_;
    if (trying_) {
        compare(speed, now);
        return;
    }
    const int  halvings = halvings_;
    const bool down     = size > 1 && speed < k_crowded * size;
    const bool up       = !down && halvings > 0 && n > size;
    if ((down || up) && now >= try_at_) {
        trying_       = true;
        before_       = halvings;
        speed_before_ = speed;
        halvings_     = down ? fewer(n, halvings) : halvings - 1;
    }
}

// One thread waits for nobody; where that is not better, half as many may be.
int Crowd::fewer(int n, int halvings) {
    int to_one = halvings;
    while ((n >> to_one) > 1) {
        ++to_one;
    }
    try_one_ = !try_one_;
    return try_one_ ? to_one : halvings + 1;
}

void Crowd::compare(double speed, int64_t now) {
    const bool more     = halvings_ < before_;
    const bool was_good = speed > speed_before_ * (more ? k_gain_of_more : 1);
    trying_             = false;
    if (was_good) {
        patience_ = k_least_patience;
    } else {
        halvings_ = before_;
        patience_ = std::clamp(2 * patience_, k_least_patience, k_most_patience);
    }
    try_at_ = now + patience_;
}

}  // namespace omni

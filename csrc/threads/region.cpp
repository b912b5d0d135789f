#include "threads/region.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "threads/awaited.h"
#include "threads/crowd.h"
#include "threads/quiet_signals.h"

#if !defined(_WIN32)
#include <pthread.h>
#include <sys/mman.h>
#endif

namespace omni {

namespace {

constexpr size_t k_cache_line = 64;

// The calling thread's work: what it had a core for and didn't wait in.
int64_t time_at_work() {
    return time_on_core() - Awaited::awake_in_vain();
}

// Never freed: its last threads may still be leaving it when the next work begins.
struct Region {
    void (*work)(void *)           = nullptr;
    void *                data     = nullptr;
    int                   size     = 1;
    bool                  measured = false;
    std::atomic<int64_t>  useful{ 0 };  // nanoseconds, where measured
    std::atomic<uint32_t> firsts{ 0 };
    alignas(k_cache_line) std::atomic<int> arrived{ 0 };
    alignas(k_cache_line) Awaited passed;

    void meet() {
        const uint32_t seen = passed.now();
        // Looked at before arriving: with the last to arrive the region may be another's, of another size.
        const int last = size - 1;
        if (arrived.fetch_add(1) == last) {
            arrived.store(0);
            passed.advance();
        } else {
            passed.wait_while(seen);
        }
    }
};

struct Place {
    Region * region = nullptr;
    int      rank   = 0;
    uint32_t firsts = 0;
};

thread_local Place here;

// Does its share of a region, up to the end of all shares.
void take_part(Region & region, int rank) {
    here                = { &region, rank, 0 };
    const bool    timed = region.measured;
    const int64_t begun = timed ? time_at_work() : 0;
    region.work(region.data);
    if (timed) {
        region.useful += time_at_work() - begun;
    }
    region.meet();
    here = {};
}

class Worker {
  public:
    // Throws std::system_error where the system has no thread to give.
    Worker() {
        std::thread([this] { run(); }).detach();
        ready_.wait_while(0);
    }

    void begin(Region & region, int rank) {
        region_ = &region;
        rank_   = rank;
        begun_.advance();
    }

  private:
    void run() {
        // What thread-local data take from the system they take now: later there may be none, which ends the process.
        here = {};
        (void) std::uncaught_exceptions();
        ready_.advance();
        for (uint32_t seen = 0;; ++seen) {
            begun_.wait_while(seen);
            take_part(*region_, rank_);
        }
    }

    Awaited  ready_;
    Region * region_ = nullptr;
    int      rank_   = 0;
    alignas(k_cache_line) Awaited begun_;
};

// A thread that finds a stack, but no room beside the heap for its thread-local data, ends the process.
bool has_room_for_a_thread() {
#if defined(_WIN32)
    return true;
#else
    constexpr size_t k_nbytes = 1 << 20;
    void *           room     = mmap(nullptr, k_nbytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return room != MAP_FAILED && munmap(room, k_nbytes) == 0;
#endif
}

class Pool {
  public:
    // Up to n workers.
    std::vector<Worker *> borrow(size_t n) {
        std::lock_guard<std::mutex> lock(mutex_);
        hire(n);
        const auto            first = idle_.end() - (std::ptrdiff_t) std::min(n, idle_.size());
        std::vector<Worker *> lent(first, idle_.end());
        idle_.erase(first, idle_.end());
        return lent;
    }

    void give_back(const std::vector<Worker *> & lent) {
        std::lock_guard<std::mutex> lock(mutex_);
        idle_.insert(idle_.end(), lent.begin(), lent.end());
    }

    Region * open() {
        std::lock_guard<std::mutex> lock(mutex_);
        if (closed_.empty()) {
            return new Region;
        }
        Region * region = closed_.back();
        closed_.pop_back();
        return region;
    }

    void close(Region * region) {
        std::lock_guard<std::mutex> lock(mutex_);
        closed_.push_back(region);
    }

    size_t prepare(size_t n) {
        std::lock_guard<std::mutex> lock(mutex_);
        hire(n);
        return std::min(n, idle_.size());
    }

    Crowd crowd;

  private:
    void hire(size_t n) {
        const QuietSignals quiet;
        try {
            while (idle_.size() < n && has_room_for_a_thread()) {
                idle_.push_back(new Worker);
            }
        } catch (const std::exception &) {
            // Fewer threads do the same.
        }
    }

    std::mutex            mutex_;
    std::vector<Worker *> idle_;  // those that worked last at the end: they may still be awake
    std::vector<Region *> closed_;
};

// Never destroyed: daemon threads of a program compute on while its exit handlers run.
std::atomic<Pool *> the_pool{ nullptr };

Pool & pool() {
    Pool * known = the_pool;
    if (known == nullptr) {
        auto made = std::make_unique<Pool>();
        if (the_pool.compare_exchange_strong(known, made.get())) {
            known = made.release();
        }
    }
    return *known;
}

#if !defined(_WIN32)
// The child has none of the threads, and the pool's lock as another thread left it.
void forget_pool() {
    the_pool = nullptr;
    here     = {};
}

const int watching_forks = pthread_atfork(nullptr, nullptr, forget_pool);
#endif

}  // namespace

void work_together(int n_threads, void (*work)(void *), void * data) {
    if (n_threads <= 1 || here.region != nullptr) {
        const Place before = here;
        here               = {};
        work(data);
        here = before;
        return;
    }
    Pool &        threads = pool();
    const int64_t begun   = nanoseconds();
    const auto    lent    = threads.borrow((size_t) threads.crowd.team_for(n_threads) - 1);
    Region *      region  = threads.open();
    region->work          = work;
    region->data          = data;
    region->size          = (int) lent.size() + 1;
    region->firsts        = 0;
    region->measured      = threads.crowd.due(begun);
    region->useful        = 0;
    for (size_t i = 0; i < lent.size(); ++i) {
        lent[i]->begin(*region, (int) i + 1);
    }
    take_part(*region, 0);
    if (region->measured) {
        const int64_t now = nanoseconds();
        threads.crowd.report(n_threads, region->size, now, now - begun, region->useful);
    }
    threads.close(region);
    threads.give_back(lent);
}

int rank() {
    return here.rank;
}

int team_size() {
    return here.region != nullptr ? here.region->size : 1;
}

void meet() {
    if (here.region != nullptr) {
        here.region->meet();
    }
}

bool first_here() {
    if (here.region == nullptr) {
        return true;
    }
    uint32_t mine = here.firsts++;
    return here.region->firsts.compare_exchange_strong(mine, mine + 1);
}

int prepare_team(int n) {
    return n <= 1 ? n : (int) pool().prepare((size_t) n - 1) + 1;
}

}  // namespace omni

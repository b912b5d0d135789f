#include "core/parallel.h"

#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "core/ggml_abort.h"
#include "core/large_memory.h"
#include "error/error.h"

namespace omni {

namespace {

constexpr size_t k_thread_nbytes = 1 << 20;

class Jobs {
  public:
    Jobs(size_t n, const std::function<void(size_t)> & job) : end_(n), job_(job) {}

    // For a thread of its own. What it needs from the system is asked for while nobody else takes memory: where its
    // thread-local data finds none, the C library ends the process. Room on the heap does not help: a thread wants a
    // part of its own.
    void start() {
        catch_ggml_aborts();
        (void) std::uncaught_exceptions();
        {
            std::lock_guard<std::mutex> lock(mutex_);
            ++n_ready_;
        }
        ready_.notify_one();
        work();
    }

    void await_ready(size_t n_threads) {
        std::unique_lock<std::mutex> lock(mutex_);
        ready_.wait(lock, [&] { return n_ready_ == n_threads; });
    }

    void work() {
        for (size_t i = take(); i != k_none; i = take()) {
            try {
                job_(i);
            } catch (...) {
                fail(i);
            }
        }
    }

    void rethrow() const {
        if (error_) {
            std::rethrow_exception(error_);
        }
    }

  private:
    static constexpr size_t k_none = (size_t) -1;

    size_t take() {
        std::lock_guard<std::mutex> lock(mutex_);
        return next_ < end_ ? next_++ : k_none;
    }

    // Jobs before this one have been started, and may fail yet: the first of all is the one that is told.
    void fail(size_t i) {
        std::lock_guard<std::mutex> lock(mutex_);
        if (i < end_) {
            end_   = i;
            error_ = std::current_exception();
        }
    }

    std::mutex                          mutex_;
    std::condition_variable             ready_;
    size_t                              n_ready_ = 0;
    size_t                              next_    = 0;
    size_t                              end_;
    const std::function<void(size_t)> & job_;
    std::exception_ptr                  error_;
};

}  // namespace

void run_jobs(size_t n, int n_threads, const std::function<void(size_t)> & job) {
    Jobs                     jobs(n, job);
    std::vector<std::thread> threads;
    try {
        while ((int) threads.size() + 1 < n_threads && threads.size() + 1 < n) {
            const LargeMemory room(k_thread_nbytes, "a thread");
            threads.emplace_back([&jobs] { jobs.start(); });
            jobs.await_ready(threads.size());
        }
    } catch (const std::exception &) {
        // Fewer threads do the same.
    }
    jobs.work();
    for (auto & thread : threads) {
        thread.join();
    }
    jobs.rethrow();
}

}  // namespace omni

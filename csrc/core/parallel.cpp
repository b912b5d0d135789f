#include "core/parallel.h"

#include <algorithm>
#include <exception>
#include <mutex>

#include "core/ggml_abort.h"
#include "threads/region.h"

namespace omni {

namespace {

class Jobs {
  public:
    Jobs(size_t n, const std::function<void(size_t)> & job) : end_(n), job_(job) {}

    static void work(void * jobs) { static_cast<Jobs *>(jobs)->work(); }

    void rethrow() const {
        if (error_) {
            std::rethrow_exception(error_);
        }
    }

  private:
    static constexpr size_t k_none = (size_t) -1;

    void work() {
        const CatchScope catching;
        for (size_t i = take(); i != k_none; i = take()) {
            try {
                job_(i);
            } catch (...) {
                fail(i);
            }
        }
    }

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
    size_t                              next_ = 0;
    size_t                              end_;
    const std::function<void(size_t)> & job_;
    std::exception_ptr                  error_;
};

}  // namespace

void run_jobs(size_t n, int n_threads, const std::function<void(size_t)> & job) {
    Jobs jobs(n, job);
    work_together((int) std::min<size_t>(n, (size_t) std::max(1, n_threads)), Jobs::work, &jobs);
    jobs.rethrow();
}

}  // namespace omni

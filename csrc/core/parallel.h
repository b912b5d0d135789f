// Jobs shared out among threads.
#pragma once

#include <cstddef>
#include <functional>

namespace omni {

// Calls job(0) to job(n - 1), each once, in that order of starting, by up to `n_threads` threads, this one among them;
// by fewer where the system refuses threads. Throws what the first job that failed threw; jobs after it may be left
// out.
void run_jobs(size_t n, int n_threads, const std::function<void(size_t)> & job);

}  // namespace omni

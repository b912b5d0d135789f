// What compilers make of the OpenMP pragmas in ggml's CPU backend, on our own threads: a parallel region, a barrier, a
// block for one thread. The compilers' own libraries (libgomp, libomp) keep threads that spin for milliseconds while
// they wait, collapse on a busy machine, don't survive a fork, and end the process where the system refuses a thread.
// GCC's names and Clang's; both call with the C convention and nothing else of OpenMP is used there.

#include <cstdarg>
#include <cstdint>

#include "openmp/omp.h"
#include "threads/cpu_share.h"
#include "threads/region.h"

extern "C" {

int omp_get_num_threads(void) {
    return omni::team_size();
}

int omp_get_thread_num(void) {
    return omni::rank();
}

// --- GCC
// --------------------------------------------------------------------------------------------------------------

// n_threads 0: the pragma names no number.
void GOMP_parallel(void (*work)(void *), void * data, unsigned n_threads, unsigned /*flags*/) {
    omni::work_together(n_threads == 0 ? omni::usable_cpus() : (int) n_threads, work, data);
}

void GOMP_barrier(void) {
    omni::meet();
}

bool GOMP_single_start(void) {
    return omni::first_here();
}

// --- Clang
// ------------------------------------------------------------------------------------------------------------

// The outlined region. Of the variables that it shares it takes a pointer each; more than it takes do no harm.
using Microtask = void (*)(int32_t * rank, int32_t * bound, void *, void *, void *, void *, void *, void *, void *,
                           void *);

int32_t __kmpc_global_thread_num(void * /*where*/) {
    return omni::rank();
}

static thread_local int32_t asked_for = 0;

void __kmpc_push_num_threads(void * /*where*/, int32_t /*thread*/, int32_t n_threads) {
    asked_for = n_threads;
}

namespace {

constexpr int k_most_shared = 8;

struct Outlined {
    Microtask work;
    void *    shared[k_most_shared];
};

void run_outlined(void * data) {
    const auto & o     = *static_cast<const Outlined *>(data);
    int32_t      rank  = omni::rank();
    int32_t      bound = 0;
    o.work(&rank, &bound, o.shared[0], o.shared[1], o.shared[2], o.shared[3], o.shared[4], o.shared[5], o.shared[6],
           o.shared[7]);
}

}  // namespace

void __kmpc_fork_call(void * /*where*/, int32_t n, Microtask work, ...) {
    Outlined o{ work, {} };
    va_list  shared;
    va_start(shared, work);
    for (int i = 0; i < n && i < k_most_shared; ++i) {
        o.shared[i] = va_arg(shared, void *);
    }
    va_end(shared);
    const int n_threads = asked_for != 0 ? asked_for : omni::usable_cpus();
    asked_for           = 0;
    omni::work_together(n_threads, run_outlined, &o);
}

void __kmpc_barrier(void * /*where*/, int32_t /*thread*/) {
    omni::meet();
}

int32_t __kmpc_single(void * /*where*/, int32_t /*thread*/) {
    return omni::first_here() ? 1 : 0;
}

void __kmpc_end_single(void * /*where*/, int32_t /*thread*/) {}
}

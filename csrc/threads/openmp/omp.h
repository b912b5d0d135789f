// What ggml asks of OpenMP by name. See threads/openmp_calls.cpp.
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

int omp_get_num_threads(void);
int omp_get_thread_num(void);

#ifdef __cplusplus
}
#endif

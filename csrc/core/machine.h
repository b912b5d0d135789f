// What this machine can do at best, measured: the limits that speech is compared with.
#pragma once

#include <cstdint>
#include <vector>

#include "ggml.h"

namespace omni {

// Bytes a second of threads that only read memory from end to end, once for each pass. The memory should be much larger
// than the caches. Throws Error(input) for sizes or threads that make no sense, Error(memory).
std::vector<double> read_bandwidth(size_t nbytes, int n_threads, int n_passes);

// Multiply-adds a second of ggml's own product of a weight [outputs, inner] of `type` and rows [rows, inner] on the
// CPU, from as many runs as fit into `seconds` (at least one). Throws Error(input) for a shape the type can't have.
double product_throughput(ggml_type type, int64_t inner, int64_t outputs, int64_t rows, int n_threads, double seconds);

}  // namespace omni

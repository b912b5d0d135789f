// What this machine can do at best, measured: the limits that speech is compared with.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace omni {

// Bytes a second of threads that only read memory from end to end, once for each pass. The memory should be much larger
// than the caches. Throws Error(input) for sizes or threads that make no sense, Error(memory).
std::vector<double> read_bandwidth(size_t nbytes, int n_threads, int n_passes);

// Multiply-adds a second of ggml's own product of a weight [outputs, inner] of `type` and rows [rows, inner] on the
// CPU, from as many runs as fit into `seconds` (at least one). `type`: "f32", "f16", "bf16" or "q8_0". Throws
// Error(input) for another type and for a shape that the type can't have.
double product_throughput(const std::string & type, int64_t inner, int64_t outputs, int64_t rows, int n_threads,
                          double seconds);

}  // namespace omni

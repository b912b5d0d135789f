#include "bench/machine.h"

#include <chrono>
#include <cstring>
#include <string>
#include <thread>

#include "core/buffer.h"
#include "core/graph.h"
#include "core/large_memory.h"
#include "error/error.h"

namespace omni {

namespace {

constexpr size_t  k_lanes        = 8;
constexpr int64_t k_most_values  = 1 << 28;
constexpr size_t  k_most_nbytes  = (size_t) 1 << 36;
constexpr int     k_most_threads = 512;

double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Lanes of their own, so that no addition waits for the one before.
uint64_t sum(const uint64_t * values, size_t n) {
    uint64_t lanes[k_lanes] = {};
    for (size_t i = 0; i + k_lanes <= n; i += k_lanes) {
        for (size_t lane = 0; lane < k_lanes; ++lane) {
            lanes[lane] += values[i + lane];
        }
    }
    uint64_t total = 0;
    for (uint64_t lane : lanes) {
        total += lane;
    }
    return total;
}

void read_all(const LargeMemory & memory, std::vector<uint64_t> & sums) {
    const size_t             n     = memory.size() / sizeof(uint64_t) / sums.size();
    const auto *             words = reinterpret_cast<const uint64_t *>(memory.data());
    std::vector<std::thread> threads;
    for (size_t i = 1; i < sums.size(); ++i) {
        threads.emplace_back([&, i] { sums[i] = sum(words + n * i, n); });
    }
    sums[0] = sum(words, n);
    for (auto & thread : threads) {
        thread.join();
    }
}

ggml_type measured_type(const std::string & name) {
    for (ggml_type type : { GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_BF16, GGML_TYPE_Q8_0 }) {
        if (name == ggml_type_name(type)) {
            return type;
        }
    }
    throw Error(ErrorKind::input, "products are measured in f32, f16, bf16 or q8_0, not in " + name);
}

}  // namespace

std::vector<double> read_bandwidth(size_t nbytes, int n_threads, int n_passes) {
    if (nbytes < 4096 || nbytes > k_most_nbytes || n_threads < 1 || n_threads > k_most_threads || n_passes < 1) {
        throw Error(ErrorKind::input, "bandwidth is measured over 4 KiB to 64 GiB, by 1 to 512 threads");
    }
    const LargeMemory memory(nbytes, "measuring the memory's bandwidth");
    std::memset(memory.data(), 1, memory.size());
    std::vector<double>   found;
    std::vector<uint64_t> sums((size_t) n_threads);
    for (int pass = 0; pass < n_passes; ++pass) {
        const double start = now();
        read_all(memory, sums);
        found.push_back((double) nbytes / (now() - start));
        // Depends on the sums, so that reading can't be left out.
        memory.data()[0] = (char) sums[0];
    }
    return found;
}

double product_throughput(const std::string & type_name, int64_t inner, int64_t outputs, int64_t rows, int n_threads,
                          double seconds) {
    const ggml_type type     = measured_type(type_name);
    const bool      positive = inner > 0 && outputs > 0 && rows > 0;
    if (!positive || inner > k_most_values / outputs || inner > k_most_values / rows ||
        inner % ggml_blck_size(type) != 0) {
        throw Error(ErrorKind::input, "a product of " + std::to_string(outputs) + " x " + std::to_string(inner) +
                                          " and " + std::to_string(rows) + " rows can't be measured in " +
                                          ggml_type_name(type));
    }
    const Backends backends(find_device("CPU"), n_threads);
    TensorStore    store(2, "measuring products");
    ggml_tensor *  weight = ggml_new_tensor_2d(store.context(), type, inner, outputs);
    ggml_tensor *  x      = ggml_new_tensor_2d(store.context(), GGML_TYPE_F32, inner, rows);
    store.allocate(backends.device_buffer_type(), GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    store.clear();
    Graph graph(backends, nullptr);
    graph.output(ggml_mul_mat(graph.context(), weight, x));
    graph.finish();
    graph.compute();  // touches all memory for the first time
    int          runs  = 0;
    const double start = now();
    do {
        graph.compute();
        ++runs;
    } while (now() - start < seconds);
    return (double) (inner * outputs * rows) * runs / (now() - start);
}

}  // namespace omni

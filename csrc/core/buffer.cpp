#include "core/buffer.h"

#include <cstdlib>

#include "core/error.h"

namespace omni {

namespace {

std::string mebibytes(size_t nbytes) {
    return std::to_string((nbytes + (1 << 20) - 1) >> 20) + " MiB";
}

}  // namespace

void FreeBuffer::operator()(ggml_backend_buffer * buffer) const {
    try {
        ggml_backend_buffer_free(buffer);
    } catch (const Error &) {
        // The device is gone, and its memory with it.
    }
}

void require_memory(size_t nbytes, const std::string & purpose) {
    // The compiler may not assume that an allocation nobody reads succeeds.
    void * volatile probe = std::malloc(nbytes);
    if (probe == nullptr) {
        throw Error(ErrorKind::memory, "not enough memory for " + purpose + " (" + mebibytes(nbytes) + ")");
    }
    std::free(probe);
}

ContextPtr make_context(size_t n_tensors, size_t graph_nodes) {
    catch_ggml_aborts();
    ggml_init_params params{};
    params.mem_size = n_tensors * ggml_tensor_overhead() + 1024;
    if (graph_nodes > 0) {
        params.mem_size += ggml_graph_overhead_custom(graph_nodes, false);
    }
    params.no_alloc = true;
    require_memory(params.mem_size, "the description of a computation");
    ContextPtr context(ggml_init(params));
    if (!context) {
        throw Error(ErrorKind::memory, "not enough memory for a compute graph");
    }
    return context;
}

void TensorStore::allocate(ggml_backend_buffer_type_t type, ggml_backend_buffer_usage usage) {
    if (ggml_get_first_tensor(context_.get()) == nullptr) {
        return;
    }
    buffer_.reset(ggml_backend_alloc_ctx_tensors_from_buft(context_.get(), type));
    if (!buffer_) {
        size_t nbytes = 0;
        for (auto * t = ggml_get_first_tensor(context_.get()); t != nullptr;
             t        = ggml_get_next_tensor(context_.get(), t)) {
            nbytes += ggml_nbytes(t);
        }
        throw Error(ErrorKind::memory, "not enough memory for " + purpose_ + " (" + mebibytes(nbytes) + " on " +
                                           ggml_backend_buft_name(type) + ")");
    }
    ggml_backend_buffer_set_usage(buffer_.get(), usage);
}

void TensorStore::clear() {
    if (buffer_) {
        ggml_backend_buffer_clear(buffer_.get(), 0);
    }
}

}  // namespace omni

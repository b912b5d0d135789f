#include "core/buffer.h"

#include <cstdlib>

#include "core/device.h"
#include "core/ggml_abort.h"
#include "error/error.h"

namespace omni {

namespace {

std::string mebibytes(size_t nbytes) {
    return std::to_string((nbytes + (1 << 20) - 1) >> 20) + " MiB";
}

}  // namespace

void FreeBuffer::operator()(ggml_backend_buffer * buffer) const {
    if (!ggml_backend_buffer_is_host(buffer) && drivers_are_lost()) {
        return;
    }
    try {
        ggml_backend_buffer_free(buffer);
    } catch (const Error &) {
        // The device is gone, and its memory with it.
    }
}

bool computes_in_host_memory(ggml_backend_dev_t device) {
    ggml_backend_dev_props props{};
    ggml_backend_dev_get_props(device, &props);
    return props.type == GGML_BACKEND_DEVICE_TYPE_CPU && props.caps.buffer_from_host_ptr;
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
    // ggml asks for it aligned, and for a header of its own before, and checks neither.
    constexpr size_t k_beside = 4096;
    require_memory(params.mem_size + k_beside, "the description of a computation");
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

bool TensorStore::allocate_large(ggml_backend_dev_t device, ggml_backend_buffer_usage usage) {
    if (!computes_in_host_memory(device)) {
        return false;
    }
    const size_t nbytes =
        ggml_backend_alloc_ctx_tensors_from_buft_size(context_.get(), ggml_backend_dev_buffer_type(device));
    if (nbytes == 0) {
        return true;
    }
    memory_ = std::make_unique<LargeMemory>(nbytes, purpose_);
    buffer_.reset(ggml_backend_dev_buffer_from_host_ptr(device, memory_->data(), nbytes, nbytes));
    if (!buffer_) {
        throw Error(ErrorKind::internal,
                    std::string("device ") + ggml_backend_dev_name(device) + " refused memory for " + purpose_);
    }
    ggml_tallocr place = ggml_tallocr_new(buffer_.get());
    for (auto * t = ggml_get_first_tensor(context_.get()); t != nullptr; t = ggml_get_next_tensor(context_.get(), t)) {
        if (t->data == nullptr) {
            ggml_tallocr_alloc(&place, t);
        }
    }
    ggml_backend_buffer_set_usage(buffer_.get(), usage);
    return true;
}

void TensorStore::clear() {
    if (buffer_) {
        ggml_backend_buffer_clear(buffer_.get(), 0);
    }
}

}  // namespace omni

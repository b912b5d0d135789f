// Tensors with memory of their own on a device: weights, caches, streaming state, constants of a graph.
#pragma once

#include <memory>
#include <string>

#include "core/large_memory.h"
#include "ggml-alloc.h"
#include "ggml-backend.h"
#include "ggml.h"

namespace omni {

struct FreeContext {
    void operator()(ggml_context * context) const { ggml_free(context); }
};

struct FreeBuffer {
    void operator()(ggml_backend_buffer * buffer) const;
};

using ContextPtr = std::unique_ptr<ggml_context, FreeContext>;
using BufferPtr  = std::unique_ptr<ggml_backend_buffer, FreeBuffer>;

// Can the device compute in memory of this process, wherever that came from?
bool computes_in_host_memory(ggml_backend_dev_t device);

// Throws Error(memory) unless the process could have `nbytes` more at this moment. ggml's bookkeeping does not check
// what malloc gives it, so this is asked before it starts.
void require_memory(size_t nbytes, const std::string & purpose);

// A context for `n_tensors` tensors (and a graph of that many nodes, if asked) whose data live elsewhere.
ContextPtr make_context(size_t n_tensors, size_t graph_nodes = 0);

// Create tensors in `context()`, then `allocate` once. `purpose` names them in the error when memory runs out.
class TensorStore {
  public:
    TensorStore(size_t n_tensors, std::string purpose) :
        context_(make_context(n_tensors)),
        purpose_(std::move(purpose)) {}

    ggml_context * context() const { return context_.get(); }

    // Throws Error(memory). Does nothing for a store without tensors.
    void allocate(ggml_backend_buffer_type_t type, ggml_backend_buffer_usage usage);

    // The same in memory of this process with large pages, for a device that computes in it; tensors that are placed
    // already stay where they are. False, and nothing done, where the device can't.
    bool allocate_large(ggml_backend_dev_t device, ggml_backend_buffer_usage usage);

    // All bytes to zero.
    void clear();

    size_t nbytes() const { return buffer_ ? ggml_backend_buffer_get_size(buffer_.get()) : 0; }

  private:
    ContextPtr                   context_;
    std::unique_ptr<LargeMemory> memory_;
    BufferPtr                    buffer_;
    std::string                  purpose_;
};

}  // namespace omni

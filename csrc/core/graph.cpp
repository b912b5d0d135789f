#include "core/graph.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <new>
#include <set>
#include <unordered_set>

#include "core/ggml_abort.h"
#include "core/large_memory.h"
#include "error/error.h"

namespace omni {

namespace {

constexpr size_t k_max_constants   = 256;
constexpr size_t k_nodes_at_once   = 4 * Graph::k_spare_nodes;
constexpr size_t k_room_for_hashes = 2;  // ggml's tables are looked through from end to end where they are full

ggml_tensor * root_of(ggml_tensor * x) {
    return x->view_src != nullptr ? root_of(x->view_src) : x;
}

bool computes(const ggml_tensor * node) {
    switch (node->op) {
        case GGML_OP_NONE:
        case GGML_OP_VIEW:
        case GGML_OP_RESHAPE:
        case GGML_OP_PERMUTE:
        case GGML_OP_TRANSPOSE: return false;
        default: return true;
    }
}

// [channel, time, batch], or with heads [channel, head, time, batch], as a chunk without values.
ProbeChunk shape_of(const ggml_tensor * x, Axes axes) {
    ProbeChunk chunk;
    if (axes == Axes::batch_time_head_channel) {
        chunk.batch    = x->ne[3];
        chunk.time     = x->ne[2];
        chunk.channels = x->ne[1] * x->ne[0];
        chunk.heads    = x->ne[1];
    } else if (axes == Axes::chunk_time_channel) {
        chunk.time     = x->ne[2];
        chunk.channels = x->ne[0] * x->ne[1];
        chunk.columns  = x->ne[0];
    } else if (axes == Axes::chunk_channel_mel_time) {
        chunk.time     = x->ne[3];
        chunk.channels = x->ne[0] * x->ne[1] * x->ne[2];
        chunk.heads    = x->ne[2];
        chunk.columns  = x->ne[0];
    } else {
        chunk.batch    = x->ne[2];
        chunk.time     = x->ne[1];
        chunk.channels = x->ne[0];
    }
    return chunk;
}

// A bound of what ggml's scheduler and allocator take from malloc, none of which they check: for each node, 60 tensor
// headers for the inputs of a possible split, four arrays of indices as long, and a few hash tables.
size_t bookkeeping_nbytes(size_t n_nodes) {
    constexpr size_t split_inputs = 60;
    return n_nodes * (split_inputs * (sizeof(ggml_tensor) + 4 * sizeof(int)) + 1024) + (1 << 20);
}

}  // namespace

Graph::Graph(const Backends & backends, Probe * probe) :
    backends_(backends),
    probe_(probe),
    products_(backends.on_cpu()),
    constants_(k_max_constants, "a graph's constants") {}

ggml_context * Graph::context() {
    const auto has_room = [](ggml_context * c) {
        return ggml_get_mem_size(c) - ggml_used_mem(c) >= k_spare_nodes * ggml_tensor_overhead();
    };
    if (contexts_.empty() || !has_room(contexts_.back().get())) {
        contexts_.push_back(make_context(k_nodes_at_once));
    }
    return contexts_.back().get();
}

ggml_tensor * Graph::input(ggml_type type, std::initializer_list<int64_t> ne) {
    ggml_tensor * x = ggml_new_tensor(context(), type, (int) ne.size(), ne.begin());
    ggml_set_input(x);
    return x;
}

ggml_tensor * Graph::add_constant(ggml_type type, const void * data, size_t n) {
    if (constant_values_.size() == k_max_constants) {
        throw Error(ErrorKind::internal, "a graph has too many constants");
    }
    const auto * bytes = static_cast<const char *>(data);
    constant_values_.emplace_back(bytes, bytes + n * ggml_type_size(type));
    return ggml_new_tensor_1d(constants_.context(), type, (int64_t) n);
}

ggml_tensor * Graph::constant(const std::vector<int32_t> & values) {
    return add_constant(GGML_TYPE_I32, values.data(), values.size());
}

ggml_tensor * Graph::constant(const std::vector<float> & values) {
    return add_constant(GGML_TYPE_F32, values.data(), values.size());
}

ggml_tensor * Graph::module(const std::string & name, ggml_tensor * x, Axes axes) {
    ggml_set_name(x, name.c_str());
    if (probe_ == nullptr) {
        return x;
    }
    if (probe_->captures(name)) {
        capture(name, x, axes);
    }
    if (!probe_->replaces(name)) {
        return x;
    }
    ggml_tensor * replacement = ggml_dup_tensor(context(), x);
    ggml_set_input(replacement);
    replacements_.push_back({ name, axes, replacement });
    return replacement;
}

void Graph::capture(const std::string & name, ggml_tensor * x, Axes axes) {
    ggml_tensor * kept = ggml_is_contiguous(x) ? x : ggml_cont(context(), x);
    captures_.push_back({ name, axes, output(kept) });
}

void Graph::observe_input(const ggml_tensor * weight, ggml_tensor * x) {
    if (probe_ == nullptr) {
        return;
    }
    const std::string name = std::string(weight->name) + ".input";
    if (!probe_->captures(name)) {
        return;
    }
    const bool    by_expert = weight->ne[2] > 1;
    ggml_tensor * rows      = ggml_is_contiguous(x) ? x : ggml_cont(context(), x);
    if (by_expert) {
        rows = ggml_reshape_2d(context(), rows, x->ne[0] * x->ne[1], x->ne[2]);
    }
    capture(name, rows, Axes::batch_time_channel);
}

ggml_tensor * Graph::output(ggml_tensor * x) {
    // A view shares its root's memory, which the allocator would hand on after the root's last use.
    ggml_set_output(root_of(x));
    ggml_set_output(x);
    results_.push_back(x);
    return x;
}

void Graph::effect(ggml_tensor * x) {
    results_.push_back(x);
}

// Everything that was made, and what it reads from elsewhere: weights, caches, constants.
size_t Graph::n_tensors() const {
    std::unordered_set<const ggml_tensor *> known;
    for (const auto & context : contexts_) {
        for (auto * x = ggml_get_first_tensor(context.get()); x != nullptr;
             x        = ggml_get_next_tensor(context.get(), x)) {
            known.insert(x);
            known.insert(x->view_src);
            known.insert(std::begin(x->src), std::end(x->src));
        }
    }
    return known.size();
}

void Graph::order_nodes(size_t size) {
    graph_context_ = make_context(0, size);
    graph_         = ggml_new_graph_custom(graph_context_.get(), size, false);
    for (ggml_tensor * x : results_) {
        ggml_build_forward_expand(graph_, x);
    }
}

void Graph::check_support() const {
    for (int i = 0; i < ggml_graph_n_nodes(graph_); ++i) {
        const ggml_tensor * node = ggml_graph_node(graph_, i);
        if (computes(node) && !backends_.supports(node)) {
            const ggml_tensor * weight = node->src[0];
            throw Error(ErrorKind::file, std::string("no backend of this build can compute ") + ggml_op_desc(node) +
                                             " with a tensor of type " +
                                             ggml_type_name(weight != nullptr ? weight->type : node->type) + " (for " +
                                             node->name + "); quantize the model to another type");
        }
    }
}

// Memory that ran out in a computation leaves the backends unusable.
void Graph::check_alive() const {
    backends_.check_process();
    if (backends_.abandoned()) {
        throw Error(ErrorKind::memory, "memory ran out earlier in this session; begin a new one");
    }
}

void Graph::FreeScheduler::operator()(ggml_backend_sched * scheduler) const {
    if (drivers_are_lost() && ggml_backend_sched_get_n_backends(scheduler) > 1) {
        return;
    }
    try {
        ggml_backend_sched_free(scheduler);
    } catch (const Error &) {
        // The device is gone.
    }
}

void Graph::finish() {
    check_alive();
    const size_t size = k_room_for_hashes * n_tensors();
    order_nodes(size);
    check_support();
    require_memory(bookkeeping_nbytes(size), "the plan of a computation");
    auto handles = backends_.handles();
    constants_.allocate(backends_.device_buffer_type(), GGML_BACKEND_BUFFER_USAGE_ANY);
    auto * constant = ggml_get_first_tensor(constants_.context());
    for (const auto & values : constant_values_) {
        ggml_backend_tensor_set(constant, values.data(), 0, values.size());
        constant = ggml_get_next_tensor(constants_.context(), constant);
    }
    scheduler_.reset(ggml_backend_sched_new(handles.data(), nullptr, (int) handles.size(), size, false, false));
    if (!scheduler_ || !ggml_backend_sched_alloc_graph(scheduler_.get(), graph_)) {
        throw Error(ErrorKind::memory, "not enough memory for the intermediate results of one computation; use smaller "
                                       "chunks or a shorter text");
    }
    ask_for_large_pages();
}

// Before anything is computed: memory has no pages until it is used.
void Graph::ask_for_large_pages() const {
    std::set<ggml_backend_buffer_t> buffers;
    for (int i = 0; i < ggml_graph_n_nodes(graph_); ++i) {
        ggml_backend_buffer_t buffer = ggml_graph_node(graph_, i)->buffer;
        if (buffer != nullptr && ggml_backend_buffer_get_usage(buffer) == GGML_BACKEND_BUFFER_USAGE_COMPUTE &&
            ggml_backend_buffer_is_host(buffer) && buffers.insert(buffer).second) {
            prefer_large_pages(ggml_backend_buffer_get_base(buffer), ggml_backend_buffer_get_size(buffer));
        }
    }
}

void Graph::set(ggml_tensor * input, const void * data, size_t nbytes) {
    backends_.check_process();
    if (nbytes != ggml_nbytes(input)) {
        throw Error(ErrorKind::internal, std::string("input ") + input->name + " got " + std::to_string(nbytes) +
                                             " bytes instead of " + std::to_string(ggml_nbytes(input)));
    }
    // An input that no node reads (its reader was replaced by a probe) has no memory.
    if (input->buffer != nullptr) {
        ggml_backend_tensor_set(input, data, 0, nbytes);
    }
}

void Graph::feed_replacements() {
    for (const auto & replacement : replacements_) {
        ggml_tensor * x   = replacement.tensor;
        const auto values = probe_->next_replacement(replacement.name, replacement.axes, shape_of(x, replacement.axes));
        if (x->buffer != nullptr) {
            ggml_backend_tensor_set(x, values.data(), 0, values.size() * sizeof(float));
        }
    }
}

void Graph::deliver_captures() {
    for (const auto & capture : captures_) {
        ProbeChunk chunk = shape_of(capture.tensor, capture.axes);
        chunk.values     = read(capture.tensor);
        probe_->record(capture.name, capture.axes, std::move(chunk));
    }
}

void Graph::compute() {
    check_alive();
    feed_replacements();
    ggml_status status = GGML_STATUS_SUCCESS;
    try {
        const ComputeScope computing;
        status = ggml_backend_sched_graph_compute(scheduler_.get(), graph_);
    } catch (const std::bad_alloc &) {
        backends_.abandon();
        status = GGML_STATUS_ALLOC_FAILED;
    }
    if (status == GGML_STATUS_ALLOC_FAILED) {
        throw Error(ErrorKind::memory, "not enough memory for a computation");
    }
    if (status != GGML_STATUS_SUCCESS) {
        throw Error(ErrorKind::internal, std::string("a computation failed: ") + ggml_status_to_string(status));
    }
    deliver_captures();
}

std::vector<float> Graph::read(const ggml_tensor * output) const {
    std::vector<float> values((size_t) ggml_nelements(output));
    ggml_backend_tensor_get(output, values.data(), 0, values.size() * sizeof(float));
    return values;
}

}  // namespace omni

// A compute graph that is built once and computed many times at fixed addresses.
//
// Models build into it; `module` names every intermediate by its Hugging Face path, and that name is the probe.
// Order of use: build (input, constant, ggml ops on context(), module, output), finish, then set / compute / read.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "core/buffer.h"
#include "core/device.h"
#include "core/probe.h"
#include "ggml-backend.h"
#include "ggml.h"
#include "ops/product_op.h"

namespace omni {

class Graph {
  public:
    // `max_nodes`: upper bound of ggml nodes and inputs together. `probe` may be null; it must outlive the graph.
    Graph(const Backends & backends, Probe * probe, size_t max_nodes);

    ggml_context * context() const { return context_.get(); }

    // A tensor to be `set` before each compute.
    ggml_tensor * input(ggml_type type, std::initializer_list<int64_t> ne);

    // Values that never change: the rows a convolution gathers, a fixed mask.
    ggml_tensor * constant(const std::vector<int32_t> & values);
    ggml_tensor * constant(const std::vector<float> & values);

    // weight [in, out] with x [in, ...] -> [out, ...]; see ProductNodes. A probe sees x as NAME.input, where NAME is
    // the weight's in the file.
    ggml_tensor * product(ggml_tensor * weight, ggml_tensor * x) {
        observe_input(weight, x);
        return products_.product(weight, x);
    }

    // weight [in, out, experts] with x [in, 1 or used, rows], by experts [used, rows] -> [out, used, rows].
    // A probe sees x as [rows, used * in].
    ggml_tensor * product_by_expert(ggml_tensor * weight, ggml_tensor * x, ggml_tensor * experts) {
        observe_input(weight, x);
        return products_.product_by_expert(weight, x, experts);
    }

    // Names the output x of a module: [channel, time], [channel, time, batch] or, with heads, [channel, head, time,
    // batch] in ggml order. Returns x, or the replacement a probe holds for it.
    ggml_tensor * module(const std::string & name, ggml_tensor * x, Axes axes = Axes::batch_time_channel);

    // Makes x part of the graph and keeps its value for `read`.
    ggml_tensor * output(ggml_tensor * x);

    // Makes a write to state part of the graph.
    void effect(ggml_tensor * x);

    // Places every node; nothing can be added afterwards. Throws Error(memory) or Error(internal).
    void finish();

    void               set(ggml_tensor * input, const void * data, size_t nbytes);
    void               compute();
    std::vector<float> read(const ggml_tensor * output) const;

    int n_nodes() const { return ggml_graph_n_nodes(graph_); }

  private:
    struct FreeScheduler {
        void operator()(ggml_backend_sched * scheduler) const;
    };

    struct Capture {
        std::string   name;
        Axes          axes;
        ggml_tensor * tensor;
    };

    struct Replacement {
        std::string   name;
        Axes          axes;
        ggml_tensor * tensor;
    };

    ggml_tensor * add_constant(ggml_type type, const void * data, size_t n);
    void          capture(const std::string & name, ggml_tensor * x, Axes axes);
    void          observe_input(const ggml_tensor * weight, ggml_tensor * x);
    void          check_support() const;
    void          check_alive() const;
    void          ask_for_large_pages() const;
    size_t        bookkeeping_nbytes() const;
    void          feed_replacements();
    void          deliver_captures();

    const Backends &                                   backends_;
    Probe *                                            probe_;
    size_t                                             max_nodes_;
    ContextPtr                                         context_;
    ProductNodes                                       products_;
    TensorStore                                        constants_;
    std::vector<std::vector<char>>                     constant_values_;
    ggml_cgraph *                                      graph_ = nullptr;
    std::unique_ptr<ggml_backend_sched, FreeScheduler> scheduler_;
    std::vector<Capture>                               captures_;
    std::vector<Replacement>                           replacements_;
};

}  // namespace omni

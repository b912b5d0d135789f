// A compute graph that is built once and computed many times at fixed addresses.
//
// Models build into it; `module` names every intermediate by its Hugging Face path, and that name is the probe.
// Order of use: build (input, constant, ggml ops on context(), module, output), finish, then set / compute / read.
//
// Nobody says how many nodes there will be: it depends on the geometry, the batch and the probe, and ggml ends the
// process where such a bound is wrong. A graph takes memory for nodes as they come and counts them when they are all
// there.
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
#include "ops/linear_op.h"
#include "ops/product_op.h"

namespace omni {

class Graph {
  public:
    // `probe` may be null; it must outlive the graph.
    Graph(const Backends & backends, Probe * probe);

    // Where the next nodes are made: room for at least k_spare_nodes. Asked anew by every function, and in every round
    // of a loop. Throws Error(memory).
    ggml_context * context();

    static constexpr size_t k_spare_nodes = 256;

    // A tensor to be `set` before each compute.
    ggml_tensor * input(ggml_type type, std::initializer_list<int64_t> ne);

    // Values that never change: the rows a convolution gathers, a fixed mask.
    ggml_tensor * constant(const std::vector<int32_t> & values);
    ggml_tensor * constant(const std::vector<float> & values);

    // weight [in, out] with x [in, ...] -> [out, ...]; see ProductNodes. A probe sees x as NAME.input, where NAME is
    // the weight's in the file.
    ggml_tensor * product(ggml_tensor * weight, ggml_tensor * x) {
        observe_input(weight, x);
        return products_.product(context(), weight, x);
    }

    // The same for many columns on the CPU, in a form that is not plain; see LinearNodes. Of activation(x) only where
    // there is no probe, which would not see it.
    ggml_tensor * linear(ConvForm form, ggml_tensor * weight, ggml_tensor * x, ggml_tensor * bias,
                         Activation activation = Activation::none) {
        observe_input(weight, x);
        return linears_.linear(context(), form, weight, x, bias, activation);
    }

    // weight [in, out, experts] with x [in, 1 or used, rows], by experts [used, rows] -> [out, used, rows].
    // A probe sees x as [rows, used * in].
    ggml_tensor * product_by_expert(ggml_tensor * weight, ggml_tensor * x, ggml_tensor * experts) {
        observe_input(weight, x);
        return products_.product_by_expert(context(), weight, x, experts);
    }

    // Names the output x of a module: [channel, time], [channel, time, batch] or, with heads, [channel, head, time,
    // batch] in ggml order. Returns x, or the replacement a probe holds for it.
    ggml_tensor * module(const std::string & name, ggml_tensor * x, Axes axes = Axes::batch_time_channel);

    // Makes x part of the graph and keeps its value for `read`.
    ggml_tensor * output(ggml_tensor * x);

    // Makes a write to state part of the graph.
    void effect(ggml_tensor * x);

    // Orders and places every node; nothing can be added afterwards. Throws Error(memory) or Error(internal).
    void finish();

    void               set(ggml_tensor * input, const void * data, size_t nbytes);
    void               compute();
    std::vector<float> read(const ggml_tensor * output) const;

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
    size_t        n_tensors() const;
    void          order_nodes(size_t size);
    void          feed_replacements();
    void          deliver_captures();

    const Backends &                                   backends_;
    Probe *                                            probe_;
    std::vector<ContextPtr>                            contexts_;
    std::vector<ggml_tensor *>                         results_;  // outputs and effects, in the order of building
    ProductNodes                                       products_;
    LinearNodes                                        linears_;
    TensorStore                                        constants_;
    std::vector<std::vector<char>>                     constant_values_;
    ContextPtr                                         graph_context_;
    ggml_cgraph *                                      graph_ = nullptr;
    std::unique_ptr<ggml_backend_sched, FreeScheduler> scheduler_;
    std::vector<Capture>                               captures_;
    std::vector<Replacement>                           replacements_;
};

}  // namespace omni

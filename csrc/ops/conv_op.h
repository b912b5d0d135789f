// Convolution and Snake as single ggml nodes for the CPU, through ggml's custom-op interface.
//
// The plain graph computes the same with ordinary nodes, on any backend: gather the taps, one matrix product, bias, and
// Snake as five nodes. These nodes exist because those read and write every activation several times more, and because
// ggml's CPU backend makes little of bfloat16. A test holds the two together.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ggml.h"

namespace omni {

// How a convolution is computed, and so how its weights are laid out.
enum class ConvForm {
    plain,  // ordinary ggml nodes; [taps * in, out]
    f32,    // one node, float32; weights in float32 or 16 bits
    bf16,   // one node, bfloat16 products summed in float32, where the CPU has such products
};

// The form for a model on this device: `exact` asks for float32.
ConvForm choose_conv_form(bool on_cpu, bool exact);

// bf16 works on blocks of channels; a convolution that has none takes f32.
ConvForm conv_form_for(ConvForm wanted, int64_t in);

// The type that a convolution of this form reads its inputs in.
ggml_type conv_input_type(ConvForm form);

// The type that its weights are kept in where a file has them as `stored`. In f32 what is stored in 16 bits stays so
// where the CPU widens it as fast as it multiplies: half of what is read, and the same numbers.
ggml_type conv_weight_type(ConvForm form, ggml_type stored);

// Elements of the weights in the layout of a form, padding included.
int64_t conv_weight_size(ConvForm form, int64_t in, int64_t out, int64_t taps);

// Which weight element i of that layout is. Outputs beyond the last are padding.
struct ConvWeight {
    int64_t output, tap, channel;
};
ConvWeight conv_weight_at(ConvForm form, int64_t i, int64_t in, int64_t taps);

// Nodes of one graph. It owns what the nodes read while they run, so it must live as long as the graph.
class ConvNodes {
  public:
    // [in, context + time + some]: the state, then snake(x) (or x itself where frequency is null), in the input type of
    // the form, made in `context`. x: F32 [in, time]; state: [in, context] of the same type as the result, or null for
    // none.
    ggml_tensor * inputs(ggml_context * context, ConvForm form, ggml_tensor * state, ggml_tensor * x,
                         ggml_tensor * frequency, ggml_tensor * magnitude);

    // F32 [out, time] from `inputs`. `bias` [out], or a divisor of out that repeats; residual: F32 [out, time] or null.
    ggml_tensor * convolve(ggml_context * context, ConvForm form, ggml_tensor * inputs, ggml_tensor * weight,
                           ggml_tensor * bias, ggml_tensor * residual, int64_t time, int64_t out, int64_t taps,
                           int64_t dilation);

  private:
    struct Shape {
        ConvForm form;
        int64_t  time, out, taps, dilation, context;
        bool     has_state, has_snake, has_residual;
    };

    static void compute_inputs(ggml_tensor * y, int part, int parts, void * shape);
    static void compute_convolution(ggml_tensor * y, int part, int parts, void * shape);

    std::vector<std::unique_ptr<Shape>> shapes_;
};

}  // namespace omni

// Products with weights for many columns, as the encoders have them, as single ggml nodes for the CPU: weights of any
// type are made into packed panels block by block, and multiplied by the convolutions' kernels. ggml's own product
// takes one column of the activations at a time.
//
// The plain twin of these is ggml_mul_mat and ggml_add; a test holds the two together. Every output is the same
// whatever the other columns and the number of threads.
#pragma once

#include <map>
#include <tuple>

#include "ggml.h"
#include "ops/conv_op.h"

namespace omni {

// The form in which a weight [in, out] of a model of the form `wanted` is multiplied: f32 where it is stored so, or
// where its rows are no multiple of bfloat16's blocks.
ConvForm linear_form(ConvForm wanted, const ggml_tensor * weight);

// By kernels/gelu.h.
enum class Activation { none, gelu, gelu_tanh };

// Nodes of one graph. Activations are converted once for all weights that read them.
class LinearNodes {
  public:
    // weight [in, out] of any type, x F32 [in, ...], bias F32 [out] or null -> F32 [out, ...], made in `context`: of
    // activation(x).
    ggml_tensor * linear(ggml_context * context, ConvForm form, ggml_tensor * weight, ggml_tensor * x,
                         ggml_tensor * bias, Activation activation);

  private:
    ggml_tensor * inputs(ggml_context * context, ConvForm form, ggml_tensor * x, Activation activation);

    std::map<std::tuple<const ggml_tensor *, ConvForm, Activation>, ggml_tensor *> inputs_;
};

// activation(x), F32.
ggml_tensor * activation_node(ggml_context * context, ggml_tensor * x, Activation activation);

}  // namespace omni

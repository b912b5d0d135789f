// Convolutions over maps (kernel 3 x 3, stride 2, padding 1) as single ggml nodes for the CPU: no taps are gathered,
// and the frame of zeros is made along with what comes before anyway. The plain twin gathers rows for one product.
//
// A map is [channel, time, mel, chunk], channels fastest.
#pragma once

#include <array>
#include <cstdint>

#include "ggml.h"
#include "ops/conv_op.h"

namespace omni {

// Positions along an axis behind such a convolution.
inline int64_t halved(int64_t n) {
    return (n + 1) / 2;
}

// The form of a convolution with so many inputs: a kernel reads three neighbouring times at once.
ConvForm conv2d_form(ConvForm wanted, int64_t in);

// Elements of its weights, and which weight element i of their layout is, in PyTorch's order [out, in, mel, time];
// negative: padding.
int64_t conv2d_weight_size(ConvForm form, int64_t in, int64_t out);
int64_t conv2d_weight_at(ConvForm form, int64_t i, int64_t in, int64_t out);

// x: F32 [in, times, mels, chunks] -> the map with zeros around it in the type of the form, made in `context`. `gelu`:
// of GELU(x).
ggml_tensor * framed_map(ggml_context * context, ConvForm form, ggml_tensor * x, bool gelu);

// framed: of a map of so many {times, mels, chunks}; bias F32 [out] -> F32 [out, times / 2, mels / 2, chunks], rounded
// up.
ggml_tensor * conv2d(ggml_context * context, ConvForm form, ggml_tensor * framed, ggml_tensor * weight,
                     ggml_tensor * bias, const std::array<int64_t, 3> & map);

}  // namespace omni

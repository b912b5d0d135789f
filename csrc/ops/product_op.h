// Products with weights as single ggml nodes for the CPU, through ggml's custom-op interface, where our kernels are
// faster than ggml's; ordinary nodes otherwise. A test holds the two together.
#pragma once

#include <map>
#include <optional>

#include "ggml.h"
#include "kernels/block_product.h"

namespace omni {

// The kernels' format of a type; none where they have none.
std::optional<BlockFormat> format_of(ggml_type type);

// Nodes of one graph. The activations of a product are quantized once for all weights that read them.
class ProductNodes {
  public:
    // `on_cpu`: every node of the graph runs on the CPU.
    explicit ProductNodes(bool on_cpu) : on_cpu_(on_cpu) {}

    // weight [in, out], x F32 [in, ...] -> F32 [out, ...], made in `context`.
    ggml_tensor * product(ggml_context * context, ggml_tensor * weight, ggml_tensor * x);

    // weight [in, out, experts], x F32 [in, 1 or used, rows], experts I32 [used, rows] -> F32 [out, used, rows].
    ggml_tensor * product_by_expert(ggml_context * context, ggml_tensor * weight, ggml_tensor * x,
                                    ggml_tensor * experts);

  private:
    bool          takes(const ggml_tensor * weight, const ggml_tensor * x) const;
    ggml_tensor * quantized(ggml_context * context, ggml_tensor * x);

    bool                                         on_cpu_;
    std::map<const ggml_tensor *, ggml_tensor *> quantized_;
};

}  // namespace omni

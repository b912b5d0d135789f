// Attention inside windows as a single ggml node for the CPU: what it takes beside its result is a head's and a
// window's, and no row is copied for each head. The plain twins are ggml's products around ggml_soft_max_ext, and
// ggml_flash_attn_ext.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ggml.h"
#include "ops/conv_op.h"

namespace omni {

// Nodes of one graph. It owns what the nodes read while they run, so it must live as long as the graph.
class AttentionNodes {
  public:
    // q, k, v F32 [heads * dim, rows] -> the same, made in `context`. Rows see the rows of their own window of `window`
    // rows, from the first on. Products are of float32 or of bfloat16, as `form` says; softmax is of float32.
    ggml_tensor * attention(ggml_context * context, ConvForm form, ggml_tensor * q, ggml_tensor * k, ggml_tensor * v,
                            int64_t heads, int64_t window);

  private:
    struct Shape {
        int64_t dim, heads, rows, window;
        size_t  room;  // bytes that a head needs in a window

        int64_t windows() const { return (rows + window - 1) / window; }
    };

    template <typename T> static void compute(ggml_tensor * y, int part, int parts, void * shape);
    template <typename T>
    static void attend(ggml_tensor * y, const Shape & shape, int64_t head, int64_t first, char * room);

    std::vector<std::unique_ptr<Shape>> shapes_;
};

}  // namespace omni

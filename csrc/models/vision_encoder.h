// The vision encoder: patches of an image or of a video's frames -> rows for the thinker, one for each block of 2 x 2
// patches, and further rows that are added behind its first layers ("deepstack").
//
// Reference: Qwen3OmniMoeVisionEncoder. A patch covers two frames; an image is a video of one frame, shown twice. Pairs
// of frames see nothing of each other and are computed one after the other, so that memory is one pair's.
// Files: llama.cpp's mmproj layout and names (projector "qwen3vl_merger"); probes use the Hugging Face paths all the
// same.
//
// Layout: [channel, patch]; patches lie block after block, the four of a block beside each other, as the reference's
// image processor has them.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/device.h"
#include "core/graph.h"
#include "core/weights.h"
#include "gguf/gguf_file.h"
#include "ops/attention_op.h"
#include "ops/conv_op.h"
#include "ops/linear_op.h"

namespace omni {

struct VisionEncoderGeometry {
    int              n_layers     = 0;
    int64_t          hidden       = 0;
    int64_t          n_heads      = 0;
    int64_t          ffn_width    = 0;
    int64_t          patch        = 0;  // pixels along its sides
    int64_t          merge        = 0;  // patches along the sides of a block
    int64_t          side         = 0;  // learned positions along the sides of their table
    int64_t          output_width = 0;  // the thinker's
    float            norm_eps     = 0;
    std::vector<int> deepstack;  // blocks behind which further rows are made, ascending

    int64_t head_dim() const { return hidden / n_heads; }

    // Values of a patch in one of its two frames: [channel, y, x].
    int64_t half_patch() const { return 3 * patch * patch; }

    // Values of a patch: [channel, frame, y, x].
    int64_t patch_width() const { return 2 * half_patch(); }
};

// Extents in patches.
struct PatchGrid {
    int64_t pairs = 0;  // of frames
    int64_t rows = 0, columns = 0;

    int64_t area() const { return rows * columns; }
};

struct VisionOutput {
    std::vector<float>              rows;       // [tokens, output width]
    std::vector<std::vector<float>> deepstack;  // the same shape, one for each of the geometry's
};

// Weights and geometry. Immutable once the weights are loaded, shared by sessions.
class VisionEncoder {
  public:
    // Declares its tensors. `plain`: ordinary ggml nodes on the CPU, too.
    VisionEncoder(std::shared_ptr<Weights> weights, bool plain);

    const VisionEncoderGeometry & geometry() const { return geometry_; }

    const Weights & weights() const { return *weights_; }

  private:
    friend class VisionEncoderSession;

    struct Affine {
        ggml_tensor * weight = nullptr;
        ggml_tensor * bias   = nullptr;
    };

    struct Block {
        Affine norm1, qkv, proj, norm2, fc1, fc2;
    };

    struct Merger {
        Affine norm, first, second;
    };

    Affine        declare_linear(const std::string & path, int64_t in, int64_t out) const;
    Affine        declare_norm(const std::string & path, int64_t width) const;
    Block         declare_block(int index) const;
    Merger        declare_merger(const std::string & path, int64_t normed) const;
    ggml_tensor * declare_half_kernel(const std::string & ending) const;

    std::shared_ptr<Weights>     weights_;
    VisionEncoderGeometry        geometry_;
    ConvForm                     form_;
    std::array<ggml_tensor *, 2> patch_kernels_{};  // of a patch's first frame and its second, [half a patch, hidden]
    ggml_tensor *                patch_bias_ = nullptr;
    ggml_tensor *                positions_  = nullptr;  // [hidden, side * side]
    std::vector<Block>           blocks_;
    Merger                       merger_;
    std::vector<Merger>          deepstack_;
};

// Not for two threads at once.
class VisionEncoderSession {
  public:
    VisionEncoderSession(std::shared_ptr<const VisionEncoder> encoder, int n_threads, std::shared_ptr<Probe> probe);
    ~VisionEncoderSession();

    const VisionEncoder & encoder() const { return *encoder_; }

    // patches [pairs * rows * columns, patch width]. `cancelled`, where there is one, is asked before every pair; where
    // it says so the tokens up to there are returned.
    // Throws Error(input) for a grid that can't be, Error(numeric) for NaN and infinity.
    VisionOutput encode(const std::vector<float> & patches, const PatchGrid & grid,
                        const std::function<bool()> & cancelled = nullptr);

  private:
    struct Tower;

    void          check(const std::vector<float> & patches, const PatchGrid & grid) const;
    Tower &       tower_for(int64_t rows, int64_t columns);
    bool          plain() const;
    ggml_tensor * linear(Graph & graph, const std::string & path, const VisionEncoder::Affine & weights,
                         ggml_tensor * x, Activation first = Activation::none) const;
    ggml_tensor * behind(Graph & graph, Activation activation, const std::string & named, const std::string & path,
                         const VisionEncoder::Affine & weights, ggml_tensor * x) const;
    ggml_tensor * mixed(Tower & tower, ConvForm form, ggml_tensor * q, ggml_tensor * k, ggml_tensor * v) const;
    ggml_tensor * norm(Graph & graph, const std::string & path, const VisionEncoder::Affine & weights,
                       ggml_tensor * x) const;
    ggml_tensor * embedded(Tower & tower) const;
    ggml_tensor * attention(Tower & tower, const std::string & path, const VisionEncoder::Block & block,
                            ggml_tensor * x) const;
    ggml_tensor * block(Tower & tower, int index, ggml_tensor * x) const;
    ggml_tensor * merged(Tower & tower, const std::string & path, const VisionEncoder::Merger & merger, ggml_tensor * x,
                         bool joined_first) const;
    void          run(Tower & tower, const float * patches, VisionOutput & out) const;

    std::shared_ptr<const VisionEncoder> encoder_;
    std::shared_ptr<Probe>               probe_;
    Backends                             backends_;
    std::unique_ptr<Tower>               tower_;
};

}  // namespace omni

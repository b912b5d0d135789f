// The audio encoder: log-mel features [mels, frames] -> rows for the thinker [tokens, width], about 13 a second.
//
// Reference: Qwen3OmniMoeAudioEncoder. Features are cut into chunks of 100 frames, the last filled up with zeros where
// there are others; each chunk goes through three convolutions by itself, and positions begin anew in each. Attention
// sees a window of 800 frames and nothing across, so that memory is a window's however long the audio is.
// Files: llama.cpp's mmproj layout and names (projector "qwen3a"); probes use the Hugging Face paths all the same.
//
// Layout: [channel, position], channels fastest, positions of a map [time, mel]. On the CPU, products, convolutions and
// attention are nodes of our own, in float32 where the weights are stored so, else in bfloat16 where the CPU has such
// products. On other devices a convolution gathers its nine taps as rows and is one matrix product.
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

namespace omni {

struct AudioEncoderGeometry {
    int     n_layers     = 0;
    int64_t hidden       = 0;
    int64_t n_heads      = 0;
    int64_t ffn_width    = 0;
    int64_t n_mels       = 0;
    int64_t channels     = 0;  // of the convolutions
    int64_t output_width = 0;  // the thinker's
    int64_t n_positions  = 0;
    int64_t chunk        = 0;  // frames that are convolved together: 2 * n_window
    int64_t window       = 0;  // chunks that see each other: n_window_infer / chunk
    float   norm_eps     = 0;

    int64_t head_dim() const { return hidden / n_heads; }

    // Tokens of a clip of so many frames.
    int64_t n_tokens(int64_t n_frames) const;
};

// Weights and geometry. Immutable once the weights are loaded, shared by sessions.
class AudioEncoder {
  public:
    // Declares its tensors. `plain`: ordinary ggml nodes on the CPU, too.
    AudioEncoder(std::shared_ptr<Weights> weights, bool plain);

    const AudioEncoderGeometry & geometry() const { return geometry_; }

    const Weights & weights() const { return *weights_; }

  private:
    friend class AudioEncoderSession;

    struct Linear {
        ggml_tensor * weight = nullptr;
        ggml_tensor * bias   = nullptr;  // null: none
    };

    struct Conv {
        ConvForm      form   = ConvForm::plain;
        ggml_tensor * weight = nullptr;  // plain: [9 * in, out], taps outermost
        ggml_tensor * bias   = nullptr;
    };

    struct Norm {
        ggml_tensor * weight = nullptr;
        ggml_tensor * bias   = nullptr;
    };

    struct Layer {
        Norm   attention_norm, ffn_norm;
        Linear q, k, v, out, fc1, fc2;
    };

    Linear declare_linear(const std::string & path, int64_t in, int64_t out) const;
    Conv   declare_conv(const std::string & path, int64_t in) const;
    Norm   declare_norm(const std::string & path) const;

    std::shared_ptr<Weights> weights_;
    AudioEncoderGeometry     geometry_;
    ConvForm                 form_;
    std::array<Conv, 3>      convs_;
    Linear                   conv_out_;
    ggml_tensor *            positions_ = nullptr;  // [hidden, n_positions]
    std::vector<Layer>       layers_;
    Norm                     ln_post_;
    Linear                   proj1_, proj2_;
};

// Not for two threads at once.
class AudioEncoderSession {
  public:
    AudioEncoderSession(std::shared_ptr<const AudioEncoder> encoder, int n_threads, std::shared_ptr<Probe> probe);
    ~AudioEncoderSession();

    const AudioEncoder & encoder() const { return *encoder_; }

    // features [mels, n_frames] of one clip -> [tokens, output width]. `cancelled`, where there is one, is asked before
    // every few windows; where it says so the tokens up to there are returned.
    // Throws Error(input) where there is no frame, Error(numeric) for NaN and infinity.
    std::vector<float> encode(const std::vector<float> & features, int64_t n_frames,
                              const std::function<bool()> & cancelled = nullptr);

  private:
    struct Stem;
    struct Tower;

    std::vector<float> convolve(const std::vector<float> & features, int64_t n_frames, int64_t first, int64_t last);
    Stem &             stem_for(int64_t chunk, int64_t n_chunks);
    Tower &            tower_for(int64_t n_tokens);
    bool               plain() const;
    int64_t            windows_at_once() const;
    ggml_tensor *      gathered(Graph & graph, const AudioEncoder::Conv & conv, ggml_tensor * x) const;
    ggml_tensor *      conv(Graph & graph, int index, ggml_tensor * x) const;
    ggml_tensor * linear(Graph & graph, const std::string & path, const AudioEncoder::Linear & linear, ggml_tensor * x,
                         bool gelu_first = false) const;
    ggml_tensor * gelu(Graph & graph, ggml_tensor * x) const;
    ggml_tensor * norm(Graph & graph, const std::string & path, const AudioEncoder::Norm & norm, ggml_tensor * x) const;
    ggml_tensor * mixed(Tower & tower, ggml_tensor * q, ggml_tensor * k, ggml_tensor * v) const;
    ggml_tensor * attention(Tower & tower, const std::string & path, const AudioEncoder::Layer & layer,
                            ggml_tensor * x) const;
    ggml_tensor * behind_gelu(Graph & graph, const std::string & activation, const std::string & path,
                              const AudioEncoder::Linear & linear, ggml_tensor * x) const;
    ggml_tensor * encoder_layer(Tower & tower, int index, ggml_tensor * x) const;

    std::shared_ptr<const AudioEncoder> encoder_;
    std::shared_ptr<Probe>              probe_;
    Backends                            backends_;
    std::unique_ptr<Stem>               stem_;
    std::unique_ptr<Tower>              tower_;
};

}  // namespace omni

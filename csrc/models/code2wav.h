// Code2wav, the vocoder: codes [groups, frames] -> samples, streaming and exact.
//
// Code embedding (mean over groups), a transformer with a sliding window, transposed-convolution upsampling with
// ConvNeXt blocks, and a convolutional decoder with Snake activations.
// Reference: Qwen3OmniMoeCode2Wav.forward; its chunked_decode is not exact and is not what this does.
//
// Layout: [channel, time], channels fastest, so that norms, biases and matrix products need no transposition. A
// convolution gathers its taps as rows ([taps * channels, time]) and is one matrix product. A transposed convolution of
// kernel 2r and stride r is the same with two taps, the previous and the present input, and r * channels outputs.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "models/decoder.h"
#include "ops/conv_op.h"

namespace omni {

struct Code2WavGeometry {
    DecoderGeometry      transformer;
    int64_t              window        = 0;  // positions a position sees, itself included
    int64_t              n_groups      = 0;
    int64_t              codebook_size = 0;
    int64_t              decoder_dim   = 0;
    int64_t              sample_rate   = 0;
    std::vector<int64_t> ratios;  // upsampling before the decoder
    std::vector<int64_t> rates;   // upsampling in the decoder, each losing `rate` samples at the start

    int64_t samples_per_frame() const;

    // Samples of the first n frames; with the real rates 1920 n - 555. 0 where a stage would have nothing.
    int64_t n_samples(int64_t n_frames) const;
};

// How convolutions are computed on a CPU.
enum class VocoderPrecision {
    automatic,  // float32 for weights stored so, else the fastest this CPU has
    f32,
    bf16,   // bfloat16 products summed in float32
    plain,  // ordinary ggml nodes, as on every other device
};

// Weights and geometry. Immutable once the weights are loaded, shared by sessions.
class Code2Wav {
  public:
    // Declares its tensors; `keys`: what its keys in the file begin with. Throws Error(input) for a precision this CPU
    // or device has no instructions for.
    Code2Wav(std::shared_ptr<Weights> weights, const std::string & keys, VocoderPrecision precision);

    const Code2WavGeometry & geometry() const { return geometry_; }

    const Weights & weights() const { return *weights_; }

  private:
    friend class Code2WavSession;
    friend class Code2WavGraph;

    struct Conv {
        std::string   path;
        ConvForm      form     = ConvForm::plain;
        ggml_tensor * weight   = nullptr;  // plain: [taps * in, rate * out]; else packed, one axis
        ggml_tensor * bias     = nullptr;  // [out]
        int64_t       in       = 0;
        int64_t       out      = 0;
        int64_t       taps     = 1;
        int64_t       dilation = 1;
        int64_t       rate     = 1;  // of a transposed convolution

        int64_t context() const { return (taps - 1) * dilation; }
    };

    struct Snake {
        std::string   path;
        ggml_tensor * frequency = nullptr;  // see models/snake.h
        ggml_tensor * magnitude = nullptr;
    };

    struct ConvNeXt {
        std::string   path;
        Conv          depthwise;  // weight: [in, taps]
        ggml_tensor * norm        = nullptr;
        ggml_tensor * norm_bias   = nullptr;
        ggml_tensor * pw1         = nullptr;
        ggml_tensor * pw1_bias    = nullptr;
        ggml_tensor * pw2         = nullptr;
        ggml_tensor * pw2_bias    = nullptr;
        ggml_tensor * layer_scale = nullptr;  // gamma
    };

    struct ResidualUnit {
        std::string path;
        Snake       act1, act2;
        Conv        conv1, conv2;
    };

    struct Upsample {
        Conv     up;
        ConvNeXt block;
    };

    struct DecoderBlock {
        std::string               path;
        Snake                     act;
        Conv                      up;
        std::vector<ResidualUnit> units;
    };

    // Which element of the stored weights a (output, tap, channel) is.
    using StoredIndex = std::function<int64_t(const ConvWeight & at)>;

    void         declare_weight(Weights & w, Conv & conv, std::vector<int64_t> stored, StoredIndex index) const;
    Conv         declare_conv(Weights & w, const std::string & path, int64_t in, int64_t out, int64_t taps,
                              int64_t dilation) const;
    Conv         declare_upsampling(Weights & w, const std::string & path, int64_t in, int64_t out, int64_t rate,
                                    int64_t taps) const;
    Snake        declare_snake(Weights & w, const std::string & path, int64_t channels) const;
    ConvNeXt     declare_convnext(Weights & w, const std::string & path, int64_t channels) const;
    DecoderBlock declare_block(Weights & w, const std::string & path, int64_t index) const;

    // Every causal convolution, in one order: the states that a session keeps.
    std::vector<const Conv *> stateful_convs() const;

    std::shared_ptr<const Weights> weights_;
    Code2WavGeometry               geometry_;
    ConvForm                       form_;
    ggml_tensor *                  code_embedding_ = nullptr;
    std::vector<DecoderLayer>      layers_;
    ggml_tensor *                  norm_ = nullptr;
    std::vector<Upsample>          upsample_;
    Conv                           first_;
    std::vector<DecoderBlock>      blocks_;
    Snake                          last_act_;
    Conv                           last_;
};

class Code2WavGraph;

// One stream of audio. Not for two threads at once.
class Code2WavSession {
  public:
    Code2WavSession(std::shared_ptr<const Code2Wav> code2wav, int n_threads, std::shared_ptr<Probe> probe);
    ~Code2WavSession();

    // codes [groups, n_frames], the frames that follow those already decoded; returns the samples they complete.
    // Throws Error(input) for codes outside of the codebook, and then nothing was decoded.
    std::vector<float> decode(const std::vector<int32_t> & codes, int64_t n_frames);

    // Begins another stream.
    void restart();

    // Frames decoded so far.
    int64_t n_frames() const { return n_frames_; }

  private:
    std::vector<float> decode_piece(const std::vector<int32_t> & frames, int64_t first, int64_t count);
    Code2WavGraph &    graph_for(int64_t n_frames);

    std::shared_ptr<const Code2Wav>             code2wav_;
    std::shared_ptr<Probe>                      probe_;
    Backends                                    backends_;
    KvCache                                     cache_;
    TensorStore                                 state_;
    std::vector<ggml_tensor *>                  conv_states_;  // of stateful_convs: [in, context]
    std::vector<int32_t>                        pending_;      // frame by frame, until the first piece has samples
    std::vector<std::unique_ptr<Code2WavGraph>> graphs_;
    int64_t                                     n_frames_ = 0;
};

}  // namespace omni

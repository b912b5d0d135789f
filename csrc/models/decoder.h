// The decoder layer that thinker, talker, code predictor and code2wav's transformer share, piece by piece.
//
// Reference: Qwen3OmniMoeThinkerTextDecoderLayer, TalkerDecoderLayer, TalkerCodePredictorDecoderLayer,
// Code2WavTransformerLayer. They differ in what is present: per-head norms, experts, a shared expert, layer scales.
// Tensors are [channel, time, batch] in ggml order throughout.
#pragma once

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "core/graph.h"
#include "core/kv_cache.h"
#include "core/weights.h"
#include "gguf/gguf_file.h"

namespace omni {

struct DecoderGeometry {
    int     n_layers   = 0;
    int64_t hidden     = 0;
    int64_t n_heads    = 0;
    int64_t n_kv_heads = 0;
    int64_t head_dim   = 0;
    float   rms_eps    = 0;
    float   rope_theta = 0;
    int64_t context    = 0;  // max_position_embeddings
    int64_t ffn_width  = 0;  // of dense layers

    // Pairs of a head that positions in time, height and width rotate, interleaved; none: all by one axis.
    std::array<int, 3> rope_sections{};

    int64_t n_experts      = 0;  // 0: dense
    int64_t n_experts_used = 0;
    int64_t expert_width   = 0;
    int64_t shared_width   = 0;  // 0: no shared expert
    bool    renormalise    = true;

    int64_t kv_width() const { return n_kv_heads * head_dim; }

    bool has_three_axes() const { return rope_sections[0] > 0; }
};

// The name a file has for a tensor of one layer, by its path in the layer: "self_attn.q_proj.weight".
using DecoderNames = std::function<std::string(const std::string & tensor)>;

// Hugging Face names under `layer_path`, as our own files have them.
DecoderNames hf_decoder_names(const std::string & layer_path);

struct DecoderLayer {
    ggml_tensor * attention_norm = nullptr;
    ggml_tensor * q              = nullptr;
    ggml_tensor * k              = nullptr;
    ggml_tensor * v              = nullptr;
    ggml_tensor * o              = nullptr;
    ggml_tensor * q_norm         = nullptr;  // null: none
    ggml_tensor * k_norm         = nullptr;
    ggml_tensor * ffn_norm       = nullptr;

    ggml_tensor * router        = nullptr;  // null: dense
    ggml_tensor * gate_experts  = nullptr;
    ggml_tensor * up_experts    = nullptr;
    ggml_tensor * down_experts  = nullptr;
    ggml_tensor * shared_gate   = nullptr;  // null: no shared expert
    ggml_tensor * shared_up     = nullptr;
    ggml_tensor * shared_down   = nullptr;
    ggml_tensor * shared_router = nullptr;

    ggml_tensor * gate = nullptr;
    ggml_tensor * up   = nullptr;
    ggml_tensor * down = nullptr;

    ggml_tensor * attention_scale = nullptr;  // null: 1
    ggml_tensor * ffn_scale       = nullptr;
};

struct DecoderParts {
    bool head_norms;
    bool layer_scales;
};

// Reads `prefix` + num_hidden_layers and so on, with the names of the Hugging Face configuration.
DecoderGeometry read_decoder_geometry(const GgufFile & file, const std::string & prefix);

// The sections of a key; none where it is missing or does not share out a head's pairs, as one that was assumed may
// not: text alone needs none.
std::array<int, 3> read_rope_sections(const GgufFile & file, const std::string & key, int64_t head_dim);

// Throws Error(file) for a geometry that no graph can be built from.
void check_decoder_geometry(const GgufFile & file, const std::string & part, const DecoderGeometry & geometry);

DecoderLayer declare_decoder_layer(Weights & weights, const DecoderGeometry & geometry, const DecoderNames & names,
                                   DecoderParts parts);

// x: [hidden, time, batch], returns the same. `path`: the layer's module path.
ggml_tensor * decoder_layer(Graph & graph, const std::string & path, ggml_tensor * x, const DecoderLayer & layer,
                            const DecoderGeometry & geometry, const KvInputs & kv, int index);

// x / sqrt(mean(x^2) + eps) * weight, over channels.
ggml_tensor * rms_norm(Graph & graph, const std::string & path, ggml_tensor * x, ggml_tensor * weight, float eps);

}  // namespace omni

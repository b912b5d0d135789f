#include "models/decoder.h"

#include <cmath>

#include "error/error.h"

namespace omni {

// --- hyperparameters ------------------------------------------------------------------------------------------------

namespace {

constexpr int64_t k_max_layers = 1024;
constexpr int64_t k_max_width  = 1 << 20;

}  // namespace

DecoderGeometry read_decoder_geometry(const GgufFile & file, const std::string & prefix) {
    DecoderGeometry g;
    g.n_layers   = (int) file.integer(prefix + "num_hidden_layers", 1, k_max_layers);
    g.hidden     = file.integer(prefix + "hidden_size", 1, k_max_width);
    g.n_heads    = file.integer(prefix + "num_attention_heads", 1, 1 << 14);
    g.n_kv_heads = file.integer(prefix + "num_key_value_heads", 1, 1 << 14);
    g.head_dim   = file.integer(prefix + "head_dim", 2, 1 << 14);
    g.rms_eps    = (float) file.real(prefix + "rms_norm_eps", 0, 1);
    g.rope_theta = (float) file.real(prefix + "rope_theta", 1, 1e12);
    g.context    = file.integer(prefix + "max_position_embeddings", 1, 1 << 30);
    g.ffn_width  = file.integer(prefix + "intermediate_size", 1, k_max_width);
    return g;
}

std::array<int, 3> read_rope_sections(const GgufFile & file, const std::string & key, int64_t head_dim) {
    if (file.find(key) == nullptr) {
        return {};
    }
    const auto found = file.integers(key, 0, 1 << 14);
    // llama.cpp's files have a fourth, which is 0.
    const bool known = found.size() == 3 || (found.size() == 4 && found[3] == 0);
    if (!known || found[0] < 1 || found[0] + found[1] + found[2] != head_dim / 2) {
        return {};
    }
    return { (int) found[0], (int) found[1], (int) found[2] };
}

void check_decoder_geometry(const GgufFile & file, const std::string & part, const DecoderGeometry & g) {
    if (g.n_heads % g.n_kv_heads != 0) {
        file.fail("has " + std::to_string(g.n_heads) + " attention heads for " + std::to_string(g.n_kv_heads) +
                  " key-value heads in its " + part + ", which do not divide");
    }
    if (g.head_dim % 2 != 0) {
        file.fail("has the odd head size " + std::to_string(g.head_dim) + " in its " + part +
                  "; rotary positions need an even one");
    }
    if (g.n_experts > 0 && g.n_experts_used > g.n_experts) {
        file.fail("uses " + std::to_string(g.n_experts_used) + " experts of " + std::to_string(g.n_experts) +
                  " in its " + part);
    }
}

// --- tensors --------------------------------------------------------------------------------------------------------

DecoderNames hf_decoder_names(const std::string & layer_path) {
    return [layer_path](const std::string & tensor) { return layer_path + "." + tensor; };
}

namespace {

void declare_attention(Weights & w, const DecoderGeometry & g, const DecoderNames & name, DecoderParts parts,
                       DecoderLayer & layer) {
    layer.attention_norm = w.f32(name("input_layernorm.weight"), { g.hidden });
    layer.q              = w.matrix(name("self_attn.q_proj.weight"), { g.hidden, g.n_heads * g.head_dim });
    layer.k              = w.matrix(name("self_attn.k_proj.weight"), { g.hidden, g.kv_width() });
    layer.v              = w.matrix(name("self_attn.v_proj.weight"), { g.hidden, g.kv_width() });
    layer.o              = w.matrix(name("self_attn.o_proj.weight"), { g.n_heads * g.head_dim, g.hidden });
    layer.ffn_norm       = w.f32(name("post_attention_layernorm.weight"), { g.hidden });
    if (parts.head_norms) {
        layer.q_norm = w.f32(name("self_attn.q_norm.weight"), { g.head_dim });
        layer.k_norm = w.f32(name("self_attn.k_norm.weight"), { g.head_dim });
    }
    if (parts.layer_scales) {
        layer.attention_scale = w.f32(name("self_attn_layer_scale.scale"), { g.hidden });
        layer.ffn_scale       = w.f32(name("mlp_layer_scale.scale"), { g.hidden });
    }
}

void declare_experts(Weights & w, const DecoderGeometry & g, const DecoderNames & name, DecoderLayer & layer) {
    const std::vector<int64_t> in{ g.hidden, g.expert_width, g.n_experts };
    layer.router       = w.f32(name("mlp.gate.weight"), { g.hidden, g.n_experts });
    layer.gate_experts = w.matrix(name("mlp.experts.gate_proj.weight"), in);
    layer.up_experts   = w.matrix(name("mlp.experts.up_proj.weight"), in);
    layer.down_experts = w.matrix(name("mlp.experts.down_proj.weight"), { g.expert_width, g.hidden, g.n_experts });
    if (g.shared_width > 0) {
        layer.shared_gate   = w.matrix(name("mlp.shared_expert.gate_proj.weight"), { g.hidden, g.shared_width });
        layer.shared_up     = w.matrix(name("mlp.shared_expert.up_proj.weight"), { g.hidden, g.shared_width });
        layer.shared_down   = w.matrix(name("mlp.shared_expert.down_proj.weight"), { g.shared_width, g.hidden });
        layer.shared_router = w.f32(name("mlp.shared_expert_gate.weight"), { g.hidden, 1 });
    }
}

}  // namespace

DecoderLayer declare_decoder_layer(Weights & w, const DecoderGeometry & g, const DecoderNames & name,
                                   DecoderParts parts) {
    DecoderLayer layer;
    declare_attention(w, g, name, parts, layer);
    if (g.n_experts > 0) {
        declare_experts(w, g, name, layer);
    } else {
        layer.gate = w.matrix(name("mlp.gate_proj.weight"), { g.hidden, g.ffn_width });
        layer.up   = w.matrix(name("mlp.up_proj.weight"), { g.hidden, g.ffn_width });
        // The product of gate and up exceeds 65504 in trained weights.
        layer.down = w.wide_matrix(name("mlp.down_proj.weight"), { g.ffn_width, g.hidden });
    }
    return layer;
}

// --- graph ----------------------------------------------------------------------------------------------------------

ggml_tensor * rms_norm(Graph & graph, const std::string & path, ggml_tensor * x, ggml_tensor * weight, float eps) {
    ggml_context * c = graph.context();
    return graph.module(path, ggml_mul(c, ggml_rms_norm(c, x, eps), weight));
}

namespace {

ggml_tensor * linear(Graph & graph, const std::string & path, ggml_tensor * weight, ggml_tensor * x) {
    return graph.module(path, graph.product(weight, x));
}

// The same inside of a mixture of experts, where the reference sees rows. x: [in, time, batch], returns [out, time,
// batch]. The product itself is told of the batch: ggml multiplies a single column in another order of sums than two,
// and a speech must not hear who else speaks.
ggml_tensor * linear_of_rows(Graph & graph, const std::string & path, ggml_tensor * weight, ggml_tensor * x) {
    ggml_tensor * y    = graph.product(weight, x);
    ggml_tensor * rows = ggml_reshape_2d(graph.context(), y, y->ne[0], y->ne[1] * y->ne[2]);
    rows               = graph.module(path, rows, Axes::time_channel);
    return ggml_reshape_3d(graph.context(), rows, y->ne[0], y->ne[1], y->ne[2]);
}

// x: [n_heads * head_dim, time, batch], returns [head_dim, n_heads, time, batch], normed per head where there is a
// norm.
ggml_tensor * split_heads(Graph & graph, const std::string & path, ggml_tensor * x, ggml_tensor * norm,
                          const DecoderGeometry & g) {
    ggml_context * c = graph.context();
    x                = ggml_reshape_4d(c, x, g.head_dim, x->ne[0] / g.head_dim, x->ne[1], x->ne[2]);
    if (norm == nullptr) {
        return x;
    }
    x = ggml_mul(c, ggml_rms_norm(c, x, g.rms_eps), norm);
    return graph.module(path, x, Axes::batch_time_head_channel);
}

// Rotary positions in NEOX order. x: [head_dim, n_heads, time, batch], returns the same.
ggml_tensor * rotate(ggml_context * c, ggml_tensor * x, const KvInputs & kv, const DecoderGeometry & g) {
    ggml_tensor * flat    = ggml_reshape_3d(c, x, x->ne[0], x->ne[1], x->ne[2] * x->ne[3]);
    ggml_tensor * rotated = nullptr;
    if (kv.n_axes == 1) {
        rotated = ggml_rope_ext(c, flat, kv.positions, nullptr, (int) g.head_dim, GGML_ROPE_TYPE_NEOX, 0, g.rope_theta,
                                1.0f, 0.0f, 1.0f, 0.0f, 0.0f);
    } else {
        int sections[4] = { g.rope_sections[0], g.rope_sections[1], g.rope_sections[2], 0 };
        rotated = ggml_rope_multi(c, flat, kv.positions, nullptr, (int) g.head_dim, sections, GGML_ROPE_TYPE_IMROPE, 0,
                                  g.rope_theta, 1.0f, 0.0f, 1.0f, 0.0f, 0.0f);
    }
    return ggml_reshape_4d(c, rotated, x->ne[0], x->ne[1], x->ne[2], x->ne[3]);
}

// softmax(q k / sqrt(head_dim) + mask) v over the cache. Returns [n_heads * head_dim, time, batch].
// Plain matrix products: every sum runs in one order whatever the thread count, which ggml's flash attention on the
// CPU does not promise for one query over many keys.
ggml_tensor * attend(ggml_context * c, ggml_tensor * q, ggml_tensor * keys, ggml_tensor * values, const KvInputs & kv,
                     const DecoderGeometry & g) {
    const int64_t time  = q->ne[2];
    const int64_t batch = q->ne[3];
    // [head_dim, slots, kv heads, batch] and [slots, head_dim, kv heads, batch]
    ggml_tensor * k      = ggml_view_4d(c, keys, g.head_dim, kv.n_slots, g.n_kv_heads, batch, keys->nb[1],
                                        (size_t) g.head_dim * keys->nb[0], keys->nb[2], 0);
    ggml_tensor * v      = ggml_view_4d(c, values, kv.n_slots, g.head_dim, g.n_kv_heads, batch, values->nb[1],
                                        (size_t) g.head_dim * values->nb[1], values->nb[2], 0);
    ggml_tensor * scores = ggml_mul_mat(c, k, ggml_permute(c, q, 0, 2, 1, 3));
    scores               = ggml_soft_max_ext(c, scores, kv.mask, 1.0f / std::sqrt((float) g.head_dim), 0.0f);
    ggml_tensor * mixed  = ggml_permute(c, ggml_mul_mat(c, v, scores), 0, 2, 1, 3);
    return ggml_cont_3d(c, mixed, g.n_heads * g.head_dim, time, batch);
}

ggml_tensor * self_attention(Graph & graph, const std::string & path, ggml_tensor * x, const DecoderLayer & layer,
                             const DecoderGeometry & g, const KvInputs & kv, int index) {
    ggml_context * c = graph.context();
    ggml_tensor *  q = linear(graph, path + ".q_proj", layer.q, x);
    ggml_tensor *  k = linear(graph, path + ".k_proj", layer.k, x);
    ggml_tensor *  v = linear(graph, path + ".v_proj", layer.v, x);
    q                = rotate(c, split_heads(graph, path + ".q_norm", q, layer.q_norm, g), kv, g);
    k                = rotate(c, split_heads(graph, path + ".k_norm", k, layer.k_norm, g), kv, g);
    k                = ggml_reshape_3d(c, k, g.kv_width(), kv.n_tokens, kv.n_sequences);

    ggml_tensor * keys   = kv.write_keys(c, index, k);
    ggml_tensor * values = kv.write_values(c, index, v);
    return linear(graph, path + ".o_proj", layer.o, attend(c, q, keys, values, kv, g));
}

// down(silu(gate(x)) * up(x)).
ggml_tensor * swiglu(Graph & graph, const std::string & path, ggml_tensor * x, ggml_tensor * gate, ggml_tensor * up,
                     ggml_tensor * down, decltype(linear) product = linear) {
    ggml_tensor * g = product(graph, path + ".gate_proj", gate, x);
    ggml_tensor * u = product(graph, path + ".up_proj", up, x);
    return product(graph, path + ".down_proj", down, ggml_swiglu_split(graph.context(), g, u));
}

// The weighted sum of the chosen experts. x: [hidden, time, batch], returns [hidden, rows].
ggml_tensor * routed_experts(Graph & graph, const std::string & path, ggml_tensor * x, const DecoderLayer & layer,
                             const DecoderGeometry & g) {
    ggml_context * c    = graph.context();
    const int64_t  rows = x->ne[1] * x->ne[2];
    const int64_t  used = g.n_experts_used;

    ggml_tensor * logits = linear_of_rows(graph, path + ".gate", layer.router, x);
    ggml_tensor * probs  = ggml_soft_max(c, ggml_reshape_2d(c, logits, g.n_experts, rows));
    // The clamp changes nothing but NaN, which would break the sort's promise; the weights below still carry it on.
    ggml_tensor * chosen  = ggml_argsort_top_k(c, ggml_clamp(c, ggml_cont(c, probs), 0.0f, 1.0f), (int) used);
    ggml_tensor * weights = ggml_get_rows(c, ggml_reshape_3d(c, probs, 1, g.n_experts, rows), chosen);
    if (g.renormalise) {
        weights = ggml_reshape_2d(c, weights, used, rows);
        weights = ggml_div(c, weights, ggml_sum_rows(c, weights));
        weights = ggml_reshape_3d(c, weights, 1, used, rows);
    }

    ggml_tensor * x3   = ggml_reshape_3d(c, x, g.hidden, 1, rows);
    ggml_tensor * gate = graph.product_by_expert(layer.gate_experts, x3, chosen);
    ggml_tensor * up   = graph.product_by_expert(layer.up_experts, x3, chosen);
    ggml_tensor * down = graph.product_by_expert(layer.down_experts, ggml_swiglu_split(c, gate, up), chosen);
    down               = ggml_mul(c, down, weights);  // [hidden, used, rows]

    ggml_tensor * sum = ggml_view_2d(c, down, g.hidden, rows, down->nb[2], 0);
    for (int64_t i = 1; i < used; ++i) {
        c   = graph.context();
        sum = ggml_add(c, sum, ggml_view_2d(c, down, g.hidden, rows, down->nb[2], (size_t) i * down->nb[1]));
    }
    return graph.module(path + ".experts", used > 1 ? sum : ggml_cont(graph.context(), sum), Axes::time_channel);
}

// Reference: Qwen3OmniMoeTalkerTextSparseMoeBlock; the thinker's has no shared expert.
ggml_tensor * sparse_moe(Graph & graph, const std::string & path, ggml_tensor * x, const DecoderLayer & layer,
                         const DecoderGeometry & g) {
    ggml_context * c    = graph.context();
    const int64_t  rows = x->ne[1] * x->ne[2];
    ggml_tensor *  sum  = routed_experts(graph, path, x, layer, g);
    if (layer.shared_gate != nullptr) {
        ggml_tensor * shared = swiglu(graph, path + ".shared_expert", x, layer.shared_gate, layer.shared_up,
                                      layer.shared_down, linear_of_rows);
        shared               = ggml_reshape_2d(c, shared, g.hidden, rows);
        shared               = graph.module(path + ".shared_expert", shared, Axes::time_channel);
        ggml_tensor * open   = linear_of_rows(graph, path + ".shared_expert_gate", layer.shared_router, x);
        open                 = ggml_sigmoid(c, ggml_reshape_2d(c, open, 1, rows));
        sum                  = ggml_add(c, sum, ggml_mul(c, shared, open));
    }
    return ggml_reshape_3d(c, sum, g.hidden, x->ne[1], x->ne[2]);
}

// The branch times its scale, plus the residual.
ggml_tensor * add_branch(Graph & graph, const std::string & scale_path, ggml_tensor * residual, ggml_tensor * branch,
                         ggml_tensor * scale) {
    ggml_context * c = graph.context();
    if (scale != nullptr) {
        branch = graph.module(scale_path, ggml_mul(c, branch, scale));
    }
    return ggml_add(c, residual, branch);
}

}  // namespace

ggml_tensor * decoder_layer(Graph & graph, const std::string & path, ggml_tensor * x, const DecoderLayer & layer,
                            const DecoderGeometry & g, const KvInputs & kv, int index) {
    ggml_tensor * normed   = rms_norm(graph, path + ".input_layernorm", x, layer.attention_norm, g.rms_eps);
    ggml_tensor * attended = self_attention(graph, path + ".self_attn", normed, layer, g, kv, index);
    attended               = graph.module(path + ".self_attn", attended);
    x                      = add_branch(graph, path + ".self_attn_layer_scale", x, attended, layer.attention_scale);

    normed              = rms_norm(graph, path + ".post_attention_layernorm", x, layer.ffn_norm, g.rms_eps);
    ggml_tensor * mixed = layer.router != nullptr
                              ? sparse_moe(graph, path + ".mlp", normed, layer, g)
                              : swiglu(graph, path + ".mlp", normed, layer.gate, layer.up, layer.down);
    mixed               = graph.module(path + ".mlp", mixed);
    x                   = add_branch(graph, path + ".mlp_layer_scale", x, mixed, layer.ffn_scale);
    return graph.module(path, x);
}

}  // namespace omni

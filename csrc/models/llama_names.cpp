#include "models/llama_names.h"

#include <algorithm>

#include "error/error.h"

namespace omni {

namespace {

const std::string k_layers = "thinker.model.layers.";
const std::string k_weight = ".weight";

const std::map<std::string, std::string> k_whole = {
    { "thinker.model.embed_tokens.weight", "token_embd.weight" },
    { "thinker.model.norm.weight", "output_norm.weight" },
    { "thinker.lm_head.weight", "output.weight" },
};

}  // namespace

const std::map<std::string, std::string> & llama_layer_names() {
    static const std::map<std::string, std::string> names = {
        { "input_layernorm", "attn_norm" },
        { "self_attn.q_proj", "attn_q" },
        { "self_attn.k_proj", "attn_k" },
        { "self_attn.v_proj", "attn_v" },
        { "self_attn.o_proj", "attn_output" },
        { "self_attn.q_norm", "attn_q_norm" },
        { "self_attn.k_norm", "attn_k_norm" },
        { "post_attention_layernorm", "ffn_norm" },
        { "mlp.gate_proj", "ffn_gate" },
        { "mlp.up_proj", "ffn_up" },
        { "mlp.down_proj", "ffn_down" },
        { "mlp.gate", "ffn_gate_inp" },
        { "mlp.experts.gate_proj", "ffn_gate_exps" },
        { "mlp.experts.up_proj", "ffn_up_exps" },
        { "mlp.experts.down_proj", "ffn_down_exps" },
        { "mlp.shared_expert_gate", "ffn_gate_inp_shexp" },
        { "mlp.shared_expert.gate_proj", "ffn_gate_shexp" },
        { "mlp.shared_expert.up_proj", "ffn_up_shexp" },
        { "mlp.shared_expert.down_proj", "ffn_down_shexp" },
    };
    return names;
}

std::string llama_thinker_name(const std::string & name) {
    const auto whole = k_whole.find(name);
    if (whole != k_whole.end()) {
        return whole->second;
    }
    const size_t dot = name.find('.', k_layers.size());
    const size_t end = name.size() - std::min(name.size(), k_weight.size());
    if (name.compare(0, k_layers.size(), k_layers) == 0 && dot < end &&
        name.compare(end, k_weight.size(), k_weight) == 0) {
        const auto found = llama_layer_names().find(name.substr(dot + 1, end - dot - 1));
        if (found != llama_layer_names().end()) {
            return "blk." + name.substr(k_layers.size(), dot - k_layers.size()) + "." + found->second + k_weight;
        }
    }
    throw Error(ErrorKind::internal, "llama.cpp has no name for tensor " + name);
}

}  // namespace omni

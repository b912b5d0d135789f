#include "models/llama_names.h"

#include <algorithm>
#include <vector>

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

// A numbered path, by what stands before and behind the number.
struct Numbered {
    std::string                        before;
    std::string                        theirs;
    std::map<std::string, std::string> below;
};

const std::vector<Numbered> k_encoder_layers = {
    { "thinker.audio_tower.layers.",
      "a.blk.",
      { { "self_attn_layer_norm", "ln1" },
        { "self_attn.q_proj", "attn_q" },
        { "self_attn.k_proj", "attn_k" },
        { "self_attn.v_proj", "attn_v" },
        { "self_attn.out_proj", "attn_out" },
        { "final_layer_norm", "ln2" },
        { "fc1", "ffn_up" },
        { "fc2", "ffn_down" } } },
    { "thinker.visual.blocks.",
      "v.blk.",
      { { "norm1", "ln1" },
        { "attn.qkv", "attn_qkv" },
        { "attn.proj", "attn_out" },
        { "norm2", "ln2" },
        { "mlp.linear_fc1", "ffn_up" },
        { "mlp.linear_fc2", "ffn_down" } } },
    { "thinker.visual.merger_list.", "v.deepstack.", { { "ln_q", "norm" }, { "mlp.0", "fc1" }, { "mlp.2", "fc2" } } },
};

const std::map<std::string, std::string> k_encoder_whole = {
    { "thinker.audio_tower.conv2d1", "a.conv2d.1" },
    { "thinker.audio_tower.conv2d2", "a.conv2d.2" },
    { "thinker.audio_tower.conv2d3", "a.conv2d.3" },
    { "thinker.audio_tower.conv_out", "a.conv_out" },
    { "thinker.audio_tower.positional_embedding", "a.position_embd" },
    { "thinker.audio_tower.ln_post", "a.post_ln" },
    { "thinker.audio_tower.proj1", "mm.a.mlp.1" },
    { "thinker.audio_tower.proj2", "mm.a.mlp.2" },
    { "thinker.visual.patch_embed.proj", "v.patch_embd" },
    { "thinker.visual.pos_embed", "v.position_embd" },
    { "thinker.visual.merger.ln_q", "v.post_ln" },
    { "thinker.visual.merger.mlp.0", "mm.0" },
    { "thinker.visual.merger.mlp.2", "mm.2" },
};

bool begins_with(const std::string & text, const std::string & beginning) {
    return text.compare(0, beginning.size(), beginning) == 0;
}

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

std::string llama_encoder_name(const std::string & name) {
    const size_t      end    = name.rfind('.');
    const std::string path   = name.substr(0, end);
    const std::string ending = end == std::string::npos ? "" : name.substr(end);
    const auto        whole  = k_encoder_whole.find(path);
    if (whole != k_encoder_whole.end()) {
        return whole->second + ending;
    }
    for (const auto & layers : k_encoder_layers) {
        const size_t dot = path.find('.', layers.before.size());
        if (!begins_with(path, layers.before) || dot == std::string::npos) {
            continue;
        }
        const auto found = layers.below.find(path.substr(dot + 1));
        if (found != layers.below.end()) {
            return layers.theirs + path.substr(layers.before.size(), dot - layers.before.size()) + "." + found->second +
                   ending;
        }
    }
    throw Error(ErrorKind::internal, "llama.cpp has no name for tensor " + name);
}

}  // namespace omni

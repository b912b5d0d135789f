// llama.cpp's names of tensors: the one table of them. Python reads it through the bindings.
#pragma once

#include <map>
#include <string>

namespace omni {

// Of a tensor below a decoder layer, without ".weight": "self_attn.q_proj" -> "attn_q".
const std::map<std::string, std::string> & llama_layer_names();

// Of a tensor of the thinker, by its name in the checkpoint with experts stacked:
// "thinker.model.layers.3.self_attn.q_proj.weight" -> "blk.3.attn_q.weight". Throws Error(internal) for a name that
// llama.cpp has no word for.
std::string llama_thinker_name(const std::string & name);

// Of a tensor of the encoders for audio and images in its mmproj files, by its name in the checkpoint:
// "thinker.audio_tower.layers.3.fc1.bias" -> "a.blk.3.ffn_up.bias". Two names are not the checkpoint's: the table of
// the audio encoder's positions, which a checkpoint leaves out, is "thinker.audio_tower.positional_embedding.weight",
// and the number in "thinker.visual.merger_list.N." is that of the block. Throws Error(internal) for a name that
// llama.cpp has no word for.
std::string llama_encoder_name(const std::string & name);

}  // namespace omni

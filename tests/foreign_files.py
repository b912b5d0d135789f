"""Writers of other families' files, from one of our own in F32: what the public converters would have made of the
same checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType, GGUFValueType

from gguf_edit import Entry, GgufEdit, Tensor

Array = npt.NDArray[np.float32]

_ENDINGS = (".weight", ".bias", ".scale", ".alpha", ".beta", ".gamma")


def arrays(path: Path) -> dict[str, Array]:
    """Every tensor of an F32 file by its name in the checkpoint, in PyTorch's order of axes."""
    found = {}
    for tensor in gguf.GGUFReader(path).tensors:
        name = tensor.name if tensor.name.endswith(_ENDINGS) else f"{tensor.name}.weight"
        shape = tuple(int(extent) for extent in reversed(tensor.shape))
        found[name] = np.array(tensor.data, np.float32).reshape(shape)
    return found


def write(path: Path, tensors: dict[str, Array], metadata: dict[str, Entry], q8: Callable[[str], bool]) -> Path:
    """A GGUF file of these tensors; those whose names `q8` picks in Q8_0 where their rows allow it."""
    edit = GgufEdit(list(metadata.items()))
    for name, values in tensors.items():
        kind = GGMLQuantizationType.F32
        data = np.ascontiguousarray(values, np.float32)
        if q8(name) and values.shape[-1] % 32 == 0:
            kind = GGMLQuantizationType.Q8_0
            data = gguf.quants.quantize(data, kind)
        edit.tensors.append(Tensor(name, list(reversed(values.shape)), int(kind), data.tobytes()))
    return edit.write(path)


def text(value: str) -> Entry:
    return Entry(GGUFValueType.STRING, value)


def tokenizer_of(path: Path) -> dict[str, Entry]:
    """The `tokenizer.` entries of a file."""
    edit = GgufEdit.read(path)
    return {str(key): entry for key, entry in edit.metadata if str(key).startswith("tokenizer.")}


# --- Hugging Face names -----------------------------------------------------------------------------------------------


def unstacked(tensors: dict[str, Array]) -> dict[str, Array]:
    """Experts one by one."""
    out: dict[str, Array] = {}
    for name, values in tensors.items():
        if ".mlp.experts." in name:
            head, _, part = name.partition(".mlp.experts.")
            out |= {f"{head}.mlp.experts.{i}.{part}": one for i, one in enumerate(values)}
        else:
            out[name] = values
    return out


def flattened(tensors: dict[str, Array]) -> dict[str, Array]:
    """Convolutions as matrices, the rest as it is."""
    return {
        name: values.reshape(len(values), -1) if values.ndim == 3 and ".experts." not in name else values
        for name, values in tensors.items()
    }


def write_all_in_one(path: Path, speech: Path, thinker: Path | None, *, tokenizer: bool, q8: bool = False) -> Path:
    """A whole checkpoint in one file, with hardly any metadata, and an encoder that nobody here computes."""
    tensors = flattened(unstacked(arrays(speech)))
    if thinker is not None:
        tensors = {**unstacked(hf_thinker(thinker)), **tensors}
    tensors["thinker.audio_tower.conv_out.weight"] = np.zeros((4, 4), np.float32)
    metadata = {"general.architecture": text("qwen3omnimoe")}
    return write(path, tensors, metadata | (tokenizer_of(speech) if tokenizer else {}), lambda _: q8)


_LLAMA = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate_inp": "mlp.gate",
    "ffn_gate_exps": "mlp.experts.gate_proj",
    "ffn_up_exps": "mlp.experts.up_proj",
    "ffn_down_exps": "mlp.experts.down_proj",
    "ffn_gate_inp_shexp": "mlp.shared_expert_gate",
    "ffn_gate_shexp": "mlp.shared_expert.gate_proj",
    "ffn_up_shexp": "mlp.shared_expert.up_proj",
    "ffn_down_shexp": "mlp.shared_expert.down_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_OF_HF = {path: name for name, path in _LLAMA.items()}


def hf_thinker(thinker: Path) -> dict[str, Array]:
    """llama.cpp's thinker under Hugging Face names."""
    whole = {
        "token_embd.weight": "thinker.model.embed_tokens.weight",
        "output_norm.weight": "thinker.model.norm.weight",
        "output.weight": "thinker.lm_head.weight",
    }
    out = {}
    for name, values in arrays(thinker).items():
        if name in whole:
            out[whole[name]] = values
        else:
            _, layer, part, _ = name.split(".")
            out[f"thinker.model.layers.{layer}.{_LLAMA[part]}.weight"] = values
    return out


# --- llama.cpp's names, talker and code2wav bundled -------------------------------------------------------------------


def bundled_name(name: str) -> str:
    """The fork's name of a checkpoint tensor."""
    parts = name.split(".")
    if name.startswith("talker.model.layers."):
        return f"blk.{parts[3]}.{_OF_HF['.'.join(parts[4:-1])]}.weight"
    if name.startswith("talker.code_predictor.model.layers."):
        short = _OF_HF[".".join(parts[5:-1])].replace("attn_output", "attn_out")
        return f"talker.code_predictor.blk.{parts[4]}.{short}.weight"
    if name.startswith("code2wav.pre_transformer.layers."):
        path = ".".join(parts[4:-1])
        scales = {"self_attn_layer_scale": "attn_scale", "mlp_layer_scale": "ffn_scale"}
        short = scales.get(path) or f"{_OF_HF[path].replace('attn_output', 'attn_out')}.weight"
        return f"code2wav.pre.blk.{parts[3]}.{short}"
    if name.startswith("code2wav.upsample."):
        rest = ".".join(parts[4:]).replace("dwconv.conv", "dwconv")
        return f"code2wav.up.{parts[2]}.{'conv.' + parts[-1] if parts[3] == '0' else rest}"
    if name.startswith("code2wav.decoder."):
        return _bundled_decoder_name(parts)
    whole = {
        "talker.model.codec_embedding.weight": "token_embd.weight",
        "talker.model.norm.weight": "output_norm.weight",
        "talker.code_predictor.model.norm.weight": "talker.code_predictor.output_norm.weight",
        "code2wav.code_embedding.weight": "code2wav.code_embd.weight",
        "code2wav.pre_transformer.norm.weight": "code2wav.pre.output_norm.weight",
    }
    short = name.replace("_projection.linear_fc", "_projection.fc")
    return whole.get(name, short.replace("code_predictor.model.codec_embedding", "code_predictor.codec_embeddings"))


def _bundled_decoder_name(parts: list[str]) -> str:
    stage, end = int(parts[2]), parts[-1]
    if stage in (0, 6):
        return f"code2wav.dec.conv_{'in' if stage == 0 else 'out'}.{end}"
    if stage == 5:
        return f"code2wav.dec.final_snake_{end}"
    unit = int(parts[4])
    if unit == 0:
        return f"code2wav.dec.{stage}.snake_{end}"
    if unit == 1:
        return f"code2wav.dec.{stage}.upsample.{end}"
    block = f"code2wav.dec_blk.{10 * stage + unit - 2}"
    return f"{block}.{parts[5]}_{end}" if parts[5].startswith("act") else f"{block}.{parts[5]}.{end}"


def write_bundled(path: Path, speech: Path) -> Path:
    tensors = {
        bundled_name(name): values.transpose(2, 1, 0) if ".dwconv." in name and values.ndim == 3 else values
        for name, values in arrays(speech).items()
        if not name.startswith("thinker.")
    }
    metadata = {"general.architecture": text("qwen3omni-talker"), "tokenizer.ggml.model": text("none")}
    return write(path, tensors, metadata, lambda _: False)


# --- a talker, the predictor's layers counted on from its own ---------------------------------------------------------


def mtp_name(name: str, layers: int) -> str:
    """The fork's name of a checkpoint tensor; `layers`: of the talker. Stacked tensors are left as they are."""
    parts = name.split(".")
    if name.startswith("talker.model.layers."):
        return f"blk.{parts[3]}.{_OF_HF['.'.join(parts[4:-1])]}.weight"
    if name.startswith("talker.code_predictor.model.layers."):
        return f"blk.{layers + int(parts[4])}.mtp.{_OF_HF['.'.join(parts[5:-1])]}.weight"
    whole = {
        "talker.model.codec_embedding.weight": "codec_embd.weight",
        "talker.model.norm.weight": "output_norm.weight",
        "talker.codec_head.weight": "output.weight",
        "talker.code_predictor.model.norm.weight": "mtp.output_norm.weight",
    }
    short = name.replace("talker.text_projection.linear_", "txt_proj.")
    return whole.get(name, short.replace("talker.hidden_projection.linear_", "hid_proj."))


def write_mtp_talker(path: Path, speech: Path, *, q8: bool = False) -> Path:
    ours = arrays(speech)
    layers = 1 + max(int(name.split(".")[3]) for name in ours if name.startswith("talker.model.layers."))
    tensors = {}
    for theirs, stacked in (("codec_embd", "model.codec_embedding"), ("lm_head", "lm_head")):
        prefix = f"talker.code_predictor.{stacked}."
        rows = [ours[f"{prefix}{n}.weight"] for n in range(sum(name.startswith(prefix) for name in ours))]
        tensors[f"mtp.{theirs}.weight"] = np.stack(rows)
    for name, values in ours.items():
        if name.startswith("talker.") and "code_predictor.lm_head" not in name and "model.codec_embedding." not in name:
            tensors[mtp_name(name, layers)] = values
    tensors["codec_embd.weight"] = ours["talker.model.codec_embedding.weight"]
    return write(path, tensors, {"general.architecture": text("qwen3omni-talker")}, lambda _: q8)


# --- code2wav alone ---------------------------------------------------------------------------------------------------


def write_code2wav(path: Path, speech: Path) -> Path:
    tensors: dict[str, Array] = {}
    for full, values in arrays(speech).items():
        name = full.removeprefix("code2wav.")
        if name == full:
            continue
        if name.endswith(".alpha"):
            tensors[f"{name.removesuffix('.alpha')}.snake_a"] = np.exp(values)
        elif name.endswith(".beta"):
            tensors[f"{name.removesuffix('.beta')}.snake_inv_b"] = 1 / (np.exp(values) + np.float32(1e-9))
        elif name.endswith((".0.conv.weight", ".block.1.conv.weight")) and not name.startswith("decoder.0."):
            tensors[name] = values.transpose(1, 2, 0).reshape(-1, values.shape[0])
        else:
            tensors[name] = values
    ours = {str(key): entry for key, entry in GgufEdit.read(speech).metadata}
    prefix, theirs = "qwen3omni-speech.code2wav.", "qwen3omni-code2wav."
    names = {
        "num_attention_heads": "head_count",
        "rms_norm_eps": "rms_eps",
        "rope_theta": "rope_theta",
        "sliding_window": "sliding_window",
        "num_quantizers": "num_quantizers",
        "codebook_size": "codebook_size",
    }
    metadata = {theirs + their: ours[prefix + our] for our, their in names.items()}
    return write(path, tensors, {"general.architecture": text("qwen3omni-code2wav"), **metadata}, lambda _: False)


# --- experts merged ---------------------------------------------------------------------------------------------------


def merged(source: Path, target: Path) -> Path:
    """Gate above up, expert by expert, as llama.cpp's converter does when it is told to."""
    edit = GgufEdit.read(source)
    tensors = []
    for tensor in edit.tensors:
        name = str(tensor.name)
        if "ffn_up_exps" in name:
            continue
        if "ffn_gate_exps" in name:
            columns, rows, experts = tensor.ne
            gate, up = (
                edit.values(name.replace("gate", part)).reshape(experts, rows, columns) for part in ("gate", "up")
            )
            both = np.concatenate([gate, up], axis=1)
            name = name.replace("ffn_gate_exps", "ffn_gate_up_exps")
            tensor = Tensor(name, [columns, 2 * rows, experts], 0, both.tobytes())
        tensors.append(tensor)
    edit.tensors = tensors
    return edit.write(target)

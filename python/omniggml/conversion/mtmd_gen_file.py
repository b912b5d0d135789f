"""`NAME-gen-mmproj.gguf`: predictor and code2wav in llama.cpp's scheme for generated audio (`files/mtmd_gen.py`)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from omniggml.conversion.output_tensors import StackedTensor
from omniggml.files.families import Alias
from omniggml.files.mtmd_gen import family_of
from omniggml.gguf.metadata import Metadata, count, fields, flag, real, text
from omniggml.spec import speech_file
from omniggml.spec.expected_tensors import Named, code2wav_tensors, code_predictor_tensors
from omniggml.spec.model_config import ModelConfig
from omniggml.spec.policy import Policy

ARCHITECTURE = "clip"
PROJECTOR = "qwen3omni_gen"
"""What a contributor to llama.cpp could call it; none is there yet."""

_GEN = "clip.gen.audio."


def mtmd_gen_tensors(config: ModelConfig) -> Iterator[Named]:
    """Checkpoint tensors that the file is made of."""
    yield from code_predictor_tensors(config.code_predictor)
    yield from code2wav_tensors(config.code2wav)


def mtmd_gen_metadata(config: ModelConfig) -> Metadata:
    """The scheme's keys; the key for the trim, which it has not; and ours, from which the geometry can be read back."""
    predictor = config.code_predictor
    ours = fields(f"{speech_file.ARCHITECTURE}.code_predictor.", predictor)
    ours |= fields(f"{speech_file.ARCHITECTURE}.code2wav.", config.code2wav)
    return {
        "clip.has_gen_audio_encoder": flag(True),
        f"{_GEN}projector_type": text(PROJECTOR),
        f"{_GEN}embedding_length": count(predictor.hidden_size),
        f"{_GEN}feed_forward_length": count(predictor.intermediate_size),
        f"{_GEN}block_count": count(predictor.num_hidden_layers),
        f"{_GEN}projection_dim": count(predictor.hidden_size),
        f"{_GEN}attention.head_count": count(predictor.num_attention_heads),
        f"{_GEN}attention.head_count_kv": count(predictor.num_key_value_heads),
        f"{_GEN}attention.layer_norm_epsilon": real(predictor.rms_norm_eps),
        f"{_GEN}trim_both_sides": flag(True),
        **ours,
    }


def mtmd_gen_outputs(config: ModelConfig, policy: Policy) -> list[StackedTensor]:
    """Tables of all codes as one tensor, Snake computed in advance; kernels in F16 and F32 as llama.cpp wants them."""
    aliases = family_of(len(config.code2wav.upsample_rates)).aliases
    outputs: dict[str, StackedTensor] = {}
    for name, shape in mtmd_gen_tensors(config):
        alias, number = _alias_of(aliases, name)
        theirs = alias.theirs.format(n=number)
        if "{{" in alias.ours:
            before = outputs[theirs].sources if theirs in outputs else ()
            sources = (*before, name)
            outputs[theirs] = StackedTensor(theirs, (len(sources), *shape), _type(policy, name, shape), sources)
        else:
            outputs[theirs] = StackedTensor(theirs, shape, _type(policy, name, shape), (name,), alias.layout)
    return list(outputs.values())


def _alias_of(aliases: tuple[Alias, ...], name: str) -> tuple[Alias, str]:
    """The scheme's name of a tensor, and the number that stands for {n} in it."""
    for alias in aliases:
        pattern = re.escape(alias.ours.replace("{{", "{").replace("}}", "}")).replace(r"\{n\}", r"(\d+)")
        if found := re.fullmatch(pattern, name):
            return alias, found[1] if found.groups() else ""
    raise KeyError(name)


def _type(policy: Policy, name: str, shape: tuple[int, ...]) -> str:
    chosen = policy.type_of(name, shape)
    if len(shape) < 3 or chosen == "F32":
        return chosen
    transposed = re.search(r"upsample\.\d+\.0\.|block\.1\.", name)
    return "F32" if transposed else "F16"

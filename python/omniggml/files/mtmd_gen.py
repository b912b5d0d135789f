"""llama.cpp's scheme for generated audio (`a.gen.code.*`, `a.gen.wav.*` in an mmproj file), with Qwen3-Omni in it.

Its predictor fits as it is. Of code2wav one tensor is beyond the scheme, `a.gen.wav.code_embd`, which stands where
other models have quantizers, and one key, for transposed convolutions that lose both edges.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from omniggml.files.families import Alias, Family, Layout, both, layers
from omniggml.spec.llama_names import DENSE, IN_ATTENTION

NAME = "mtmd-gen"
MARK = "a.gen.wav.code_embd.weight"
"""The tensor by which Qwen3-Omni is told from other models in this scheme."""

_PREDICTOR = "talker.code_predictor"
_NORMS = {"ln1": "input_layernorm", "ln2": "post_attention_layernorm"}
_BLOCK = "a.gen.wav.dac.blk."
_MOST_STAGES = 16


def _code() -> Iterator[Alias]:
    yield Alias("a.gen.code.embd.weight", f"{_PREDICTOR}.model.codec_embedding.{{{{n}}}}.weight")
    yield Alias("a.gen.code.head.weight", f"{_PREDICTOR}.lm_head.{{{{n}}}}.weight")
    yield Alias("a.gen.code.output_norm.weight", f"{_PREDICTOR}.model.norm.weight")
    yield from layers("a.gen.code.blk.{n}", f"{_PREDICTOR}.model.layers.{{n}}", _NORMS, IN_ATTENTION, DENSE)


def _wav(stages: int) -> Iterator[Alias]:
    yield Alias(MARK, "code2wav.code_embedding.weight")
    yield Alias("a.gen.wav.tfm.output_norm.weight", "code2wav.pre_transformer.norm.weight")
    layer, path = "a.gen.wav.tfm.blk.{n}", "code2wav.pre_transformer.layers.{n}"
    yield from layers(layer, path, _NORMS, IN_ATTENTION, DENSE)
    yield Alias(f"{layer}.ls1.weight", f"{path}.self_attn_layer_scale.scale")
    yield Alias(f"{layer}.ls2.weight", f"{path}.mlp_layer_scale.scale")
    up, ours = "a.gen.wav.up.blk.{n}", "code2wav.upsample.{n}"
    yield from both(f"{up}.conv", f"{ours}.0.conv")
    for theirs, part in (("dwconv", "dwconv.conv"), ("norm", "norm"), ("pw1", "pwconv1"), ("pw2", "pwconv2")):
        yield from both(f"{up}.{theirs}", f"{ours}.1.{part}")
    yield Alias(f"{up}.gamma", f"{ours}.1.gamma")
    yield from both("a.gen.wav.dac.entry", "code2wav.decoder.0.conv")
    yield from _snake("a.gen.wav.dac.post_snake", f"code2wav.decoder.{stages + 1}")
    yield from both("a.gen.wav.dac.post_conv", f"code2wav.decoder.{stages + 2}.conv")
    for stage in range(stages):
        yield from _stage(f"{_BLOCK}{stage}", f"code2wav.decoder.{stage + 1}.block")


def _stage(theirs: str, ours: str) -> Iterator[Alias]:
    yield from _snake(f"{theirs}.snake", f"{ours}.0")
    yield from both(f"{theirs}.conv", f"{ours}.1.conv")
    for unit in (0, 1, 2):
        for number in (1, 2):
            yield from _snake(f"{theirs}.res.{unit}.act{number}", f"{ours}.{unit + 2}.act{number}")
            yield from both(f"{theirs}.res.{unit}.conv{number}", f"{ours}.{unit + 2}.conv{number}.conv")


def _snake(theirs: str, ours: str) -> Iterator[Alias]:
    yield Alias(f"{theirs}.alpha", f"{ours}.alpha", Layout.EXPONENTIAL)
    yield Alias(f"{theirs}.beta", f"{ours}.beta", Layout.RECIPROCAL)


def family_of(stages: int) -> Family:
    """The family of files whose decoder has so many stages."""
    return Family(
        NAME,
        "code predictor and code2wav as llama.cpp's mmproj files have generated audio",
        ("a.gen.code.head.weight", MARK),
        ("code predictor", "code2wav"),
        (*_code(), *_wav(stages)),
    )


def family_among(names: Collection[str]) -> Family | None:
    """The family of a file with these tensors, None where it is of another."""
    if MARK not in names or "a.gen.code.head.weight" not in names:
        return None
    return family_of(next((n for n in range(_MOST_STAGES) if f"{_BLOCK}{n}.conv.weight" not in names), _MOST_STAGES))

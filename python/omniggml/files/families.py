"""The families of Qwen3-Omni files, as tables: how each is told from the others, and its names beside ours.

A family is recognised by the tensors that are there, never by the architecture string: two families share one.
`{n}` in a name stands for a number. A name with neither entry nor rule belongs to no family.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

import numpy as np

from omniggml.spec.encoder_tensors import (
    AUDIO_LAYER,
    AUDIO_POSITIONS,
    AUDIO_PREFIX,
    MERGER,
    PATCH_KERNEL,
    VISION_BLOCK,
    VISION_POSITIONS,
    VISION_PREFIX,
)
from omniggml.spec.expected_tensors import NOT_CONVERTED, expert_prefix, stacked_name
from omniggml.spec.llama_names import (
    ATTENTION,
    DENSE,
    EXPERTS,
    MERGED_EXPERTS,
    SHARED_EXPERT,
    THINKER_LAYER,
    THINKER_WHOLE,
    encoder_name,
)
from omniggml.spec.speech_file import ARCHITECTURE, short_name

MERGED_PATH = "mlp.experts.gate_up_proj"
"""A layer's experts with gate above up in one tensor; what ours are made of."""


SNAKE_EPSILON = np.float32(1e-9)
"""Keeps the reference's Snake from dividing by zero."""


class Layout(Enum):
    """How a family stores values that we store otherwise."""

    SAME = "the same, perhaps with fewer axes"
    REVERSED = "axes in reverse order"
    COLUMNS = "a transposed convolution [in, out, kernel] as [out * kernel, in]"
    EXPONENTIAL = "Snake's alpha as exp(alpha)"
    RECIPROCAL = "Snake's beta as 1 / (exp(beta) + 1e-9)"


@dataclass(frozen=True)
class Alias:
    """A name of a family, ours for the same tensor, and its layout there. Where `{{n}}` is in ours, the tensor is a
    stack: row n of its first axis is ours number n. `shifted`: {n} counts on from the layers of another stage."""

    theirs: str
    ours: str
    layout: Layout = Layout.SAME
    shifted: bool = False


@dataclass(frozen=True)
class Place:
    """What a stored tensor is to us: all of tensor `name`, or its expert number `expert`. With `{n}` in the name it is
    a stack of all tensors of that name."""

    name: str
    layout: Layout = Layout.SAME
    expert: int = 0


@dataclass(frozen=True)
class Family:
    """`needs`: patterns, each of which some tensor has to fit, or else each of `or_needs`; `holds`: stages. `aliases`
    in order of precedence; `keeps_names`: names are the checkpoint's. `ignored`: prefixes of tensors that nothing here
    computes."""

    name: str
    title: str
    needs: tuple[str, ...]
    holds: tuple[str, ...]
    aliases: tuple[Alias, ...] = ()
    keeps_names: bool = False
    ignored: tuple[str, ...] = ()
    or_needs: tuple[str, ...] = ()

    @cached_property
    def _patterns(self) -> list[tuple[re.Pattern[str], Alias]]:
        return [(_pattern(alias.theirs), alias) for alias in self.aliases]

    def fits(self, names: Collection[str]) -> bool:
        ways = [way for way in (self.needs, self.or_needs) if way]
        return any(all(any(_pattern(need).fullmatch(name) for name in names) for need in way) for way in ways)

    def first_shifted(self, names: Iterable[str]) -> int:
        """The number in a file's names that counts as 0 where an alias is shifted."""
        shifted = [pattern for pattern, alias in self._patterns if alias.shifted]
        found = (pattern.fullmatch(name) for name in names for pattern in shifted)
        return min((int(match["n"]) for match in found if match), default=0)

    def place_of(self, name: str, first: int = 0) -> Place | None:
        """Where a stored tensor belongs, None where the family has no such name. `first`: see `first_shifted`."""
        for pattern, alias in self._patterns:
            if found := pattern.fullmatch(name):
                numbers: dict[str, object] = dict(found.groupdict())
                if alias.shifted:
                    numbers["n"] = int(found["n"]) - first
                return Place(short_name(alias.ours.format(**numbers)), alias.layout)
        return _checkpoint_place(name) if self.keeps_names else None


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[0-9]{1,4})", re.escape(template)))


def _checkpoint_place(name: str) -> Place | None:
    if not name.startswith(("thinker.", "talker.", "code2wav.")):
        return None
    expert = expert_prefix(name)
    if expert is None:
        return Place(short_name(name))
    number = name.removeprefix(expert[0]).partition(".")[0]
    return Place(short_name(stacked_name(name)), expert=int(number)) if number.isdecimal() else None


# --- parts of the tables ----------------------------------------------------------------------------------------------

# Some write the one, some the other.
_ATTENTION = {**ATTENTION, "attn_out": ATTENTION["attn_output"]}


def layers(theirs: str, ours: str, *tables: dict[str, str], shifted: bool = False) -> Iterator[Alias]:
    """Weights below a layer, by tables of names."""
    for table in tables:
        if table is EXPERTS:
            yield Alias(f"{theirs}.{MERGED_EXPERTS}.weight", f"{ours}.{MERGED_PATH}.weight")
        for name, path in table.items():
            yield Alias(f"{theirs}.{name}.weight", f"{ours}.{path}.weight", shifted=shifted)


def both(theirs: str, ours: str) -> Iterator[Alias]:
    """Weight and bias."""
    for part in ("weight", "bias"):
        yield Alias(f"{theirs}.{part}", f"{ours}.{part}")


# --- llama.cpp's thinker ----------------------------------------------------------------------------------------------

_THINKER = (
    *(Alias(theirs, ours) for theirs, ours in THINKER_WHOLE.items()),
    *layers("blk.{n}", THINKER_LAYER, _ATTENTION, EXPERTS),
)


# --- talker and code2wav in one file, llama.cpp's names ---------------------------------------------------------------


def _bundled_talker() -> Iterator[Alias]:
    yield Alias("token_embd.weight", "talker.model.codec_embedding.weight")
    yield Alias("output_norm.weight", "talker.model.norm.weight")
    yield from layers("blk.{n}", "talker.model.layers.{n}", _ATTENTION, EXPERTS, SHARED_EXPERT)
    for projection in ("text_projection", "hidden_projection"):
        for fc in ("fc1", "fc2"):
            yield from both(f"talker.{projection}.{fc}", f"talker.{projection}.linear_{fc}")
    yield Alias("talker.codec_head.weight", "talker.codec_head.weight")
    predictor = "talker.code_predictor"
    yield Alias(f"{predictor}.codec_embeddings.{{n}}.weight", f"{predictor}.model.codec_embedding.{{n}}.weight")
    yield Alias(f"{predictor}.lm_head.{{n}}.weight", f"{predictor}.lm_head.{{n}}.weight")
    yield Alias(f"{predictor}.output_norm.weight", f"{predictor}.model.norm.weight")
    yield from layers(f"{predictor}.blk.{{n}}", f"{predictor}.model.layers.{{n}}", _ATTENTION, DENSE)


def _bundled_code2wav() -> Iterator[Alias]:
    yield Alias("code2wav.code_embd.weight", "code2wav.code_embedding.weight")
    yield Alias("code2wav.pre.output_norm.weight", "code2wav.pre_transformer.norm.weight")
    layer, path = "code2wav.pre.blk.{n}", "code2wav.pre_transformer.layers.{n}"
    yield from layers(layer, path, _ATTENTION, DENSE)
    yield Alias(f"{layer}.attn_scale", f"{path}.self_attn_layer_scale.scale")
    yield Alias(f"{layer}.ffn_scale", f"{path}.mlp_layer_scale.scale")
    up, ours = "code2wav.up.{n}", "code2wav.upsample.{n}"
    yield from both(f"{up}.conv", f"{ours}.0.conv")
    yield Alias(f"{up}.dwconv.weight", f"{ours}.1.dwconv.conv.weight", Layout.REVERSED)
    yield Alias(f"{up}.dwconv.bias", f"{ours}.1.dwconv.conv.bias")
    for part in ("norm", "pwconv1", "pwconv2"):
        yield from both(f"{up}.{part}", f"{ours}.1.{part}")
    yield Alias(f"{up}.gamma", f"{ours}.1.gamma")


def _bundled_decoder() -> Iterator[Alias]:
    # The fork writes this family for four rates only, which makes the last layers 5 and 6.
    yield from both("code2wav.dec.conv_in", "code2wav.decoder.0.conv")
    yield from both("code2wav.dec.conv_out", "code2wav.decoder.6.conv")
    for part in ("alpha", "beta"):
        yield Alias(f"code2wav.dec.final_snake_{part}", f"code2wav.decoder.5.{part}")
        yield Alias(f"code2wav.dec.{{n}}.snake_{part}", f"code2wav.decoder.{{n}}.block.0.{part}")
    yield from both("code2wav.dec.{n}.upsample", "code2wav.decoder.{n}.block.1.conv")
    for stage in (1, 2, 3, 4):
        for unit in (0, 1, 2):
            theirs = f"code2wav.dec_blk.{10 * stage + unit}"
            ours = f"code2wav.decoder.{stage}.block.{unit + 2}"
            for number in (1, 2):
                yield from both(f"{theirs}.conv{number}", f"{ours}.conv{number}.conv")
                for part in ("alpha", "beta"):
                    yield Alias(f"{theirs}.act{number}_{part}", f"{ours}.act{number}.{part}")


# --- a talker, the predictor's layers counted on from its own ---------------------------------------------------------


def _mtp_talker() -> Iterator[Alias]:
    yield Alias("codec_embd.weight", "talker.model.codec_embedding.weight")
    yield Alias("output_norm.weight", "talker.model.norm.weight")
    yield Alias("output.weight", "talker.codec_head.weight")
    yield from layers("blk.{n}", "talker.model.layers.{n}", _ATTENTION, EXPERTS, SHARED_EXPERT)
    for theirs, ours in (("txt_proj", "text_projection"), ("hid_proj", "hidden_projection")):
        for fc in ("fc1", "fc2"):
            yield from both(f"{theirs}.{fc}", f"talker.{ours}.linear_{fc}")
    predictor = "talker.code_predictor"
    yield from layers("blk.{n}.mtp", f"{predictor}.model.layers.{{n}}", _ATTENTION, DENSE, shifted=True)
    yield Alias("mtp.output_norm.weight", f"{predictor}.model.norm.weight")
    yield Alias("mtp.codec_embd.weight", f"{predictor}.model.codec_embedding.{{{{n}}}}.weight")
    yield Alias("mtp.lm_head.weight", f"{predictor}.lm_head.{{{{n}}}}.weight")


# --- code2wav alone ---------------------------------------------------------------------------------------------------


def _separate_code2wav(*, in_advance: bool) -> Iterator[Alias]:
    """Names below code2wav. `in_advance`: Snake is computed, and transposed convolutions are columns."""
    alpha, beta = ("snake_a", "snake_inv_b") if in_advance else ("alpha", "beta")
    exponential, reciprocal, columns = (
        layout if in_advance else Layout.SAME for layout in (Layout.EXPONENTIAL, Layout.RECIPROCAL, Layout.COLUMNS)
    )
    for act in ("decoder.{n}", "decoder.{n}.block.0", "decoder.{n}.block.{m}.act1", "decoder.{n}.block.{m}.act2"):
        yield Alias(f"{act}.{alpha}", f"code2wav.{act}.alpha", exponential)
        yield Alias(f"{act}.{beta}", f"code2wav.{act}.beta", reciprocal)
    for conv in ("upsample.{n}.0.conv", "decoder.{n}.block.1.conv"):
        yield Alias(f"{conv}.weight", f"code2wav.{conv}.weight", columns)
        yield Alias(f"{conv}.bias", f"code2wav.{conv}.bias")
    for conv in ("decoder.{n}.conv", "decoder.{n}.block.{m}.conv1.conv", "decoder.{n}.block.{m}.conv2.conv"):
        yield from both(conv, f"code2wav.{conv}")
    yield Alias("code_embedding.weight", "code2wav.code_embedding.weight")
    yield Alias("pre_transformer.norm.weight", "code2wav.pre_transformer.norm.weight")
    layer = "pre_transformer.layers.{n}"
    for path in (*_ATTENTION.values(), *DENSE.values()):
        yield Alias(f"{layer}.{path}.weight", f"code2wav.{layer}.{path}.weight")
    for path in ("self_attn_layer_scale.scale", "mlp_layer_scale.scale"):
        yield Alias(f"{layer}.{path}", f"code2wav.{layer}.{path}")
    for path in ("dwconv.conv", "norm", "pwconv1", "pwconv2"):
        yield from both(f"upsample.{{n}}.1.{path}", f"code2wav.upsample.{{n}}.1.{path}")
    yield Alias("upsample.{n}.1.gamma", "code2wav.upsample.{n}.1.gamma")


# --- encoders beside a thinker, as llama.cpp's mmproj files have them ------------------------------------------------


def _mmproj_vision() -> Iterator[Alias]:
    yield Alias(encoder_name(VISION_POSITIONS), VISION_POSITIONS)
    for ending in ("", ".1"):
        yield Alias(encoder_name(PATCH_KERNEL) + ending, PATCH_KERNEL + ending)
    yield Alias(encoder_name(f"{VISION_PREFIX}patch_embed.proj.bias"), f"{VISION_PREFIX}patch_embed.proj.bias")
    modules = [
        *(f"blocks.{{n}}.{path}" for path in VISION_BLOCK),
        *(f"{merger}.{path}" for merger in ("merger", "merger_list.{n}") for path in MERGER),
    ]
    for path in modules:
        yield from both(encoder_name(f"{VISION_PREFIX}{path}.")[:-1], f"{VISION_PREFIX}{path}")


def _mmproj() -> Iterator[Alias]:
    yield Alias(encoder_name(AUDIO_POSITIONS), AUDIO_POSITIONS)
    for path in ("conv2d1", "conv2d2", "conv2d3", "ln_post", "proj1", "proj2"):
        yield from both(encoder_name(f"{AUDIO_PREFIX}{path}.")[:-1], f"{AUDIO_PREFIX}{path}")
    yield Alias(encoder_name(f"{AUDIO_PREFIX}conv_out.weight"), f"{AUDIO_PREFIX}conv_out.weight")
    for path in AUDIO_LAYER:
        ours = f"{AUDIO_PREFIX}layers.{{n}}.{path}"
        yield from both(encoder_name(f"{ours}.")[:-1], ours)


# --- the families -----------------------------------------------------------------------------------------------------

SPEECH = Family(
    "speech",
    "omniggml's speech file",
    ("thinker.model.embed_tokens.weight", "talker.model.layers.{n}.mlp.experts.gate_proj.weight"),
    ("text table", "talker", "code predictor", "code2wav"),
    keeps_names=True,
)

ALL_IN_ONE = Family(
    "all-in-one",
    "a whole checkpoint under Hugging Face names",
    ("talker.model.layers.{n}.self_attn.q_proj.weight", "code2wav.code_embedding.weight"),
    ("thinker", "talker", "code predictor", "code2wav"),
    keeps_names=True,
    ignored=NOT_CONVERTED,
)

BUNDLED = Family(
    "bundled",
    "talker, code predictor and code2wav under llama.cpp's names",
    ("blk.{n}.ffn_gate_inp_shexp.weight", "talker.code_predictor.lm_head.{n}.weight", "code2wav.code_embd.weight"),
    ("talker", "code predictor", "code2wav"),
    (*_bundled_talker(), *_bundled_code2wav(), *_bundled_decoder()),
)

CODE2WAV = Family(
    "code2wav",
    "code2wav alone, Snake computed in advance",
    ("code_embedding.weight", "pre_transformer.norm.weight", "decoder.{n}.block.0.snake_inv_b"),
    ("code2wav",),
    tuple(_separate_code2wav(in_advance=True)),
)

NAMED_CODE2WAV = Family(
    "named-code2wav",
    "code2wav alone under Hugging Face names",
    ("code2wav.code_embedding.weight", "code2wav.pre_transformer.norm.weight", "code2wav.decoder.{n}.block.0.alpha"),
    ("code2wav",),
    keeps_names=True,
)

BARE_CODE2WAV = Family(
    "bare-code2wav",
    "code2wav alone under its own modules' names",
    ("code_embedding.weight", "pre_transformer.norm.weight", "decoder.{n}.block.0.alpha"),
    ("code2wav",),
    tuple(_separate_code2wav(in_advance=False)),
)

VOCODERS = (CODE2WAV, NAMED_CODE2WAV, BARE_CODE2WAV)
"""Families of code2wav alone, which decodes and can't speak."""

MTP_TALKER = Family(
    "mtp-talker",
    "a talker with the code predictor among its layers",
    ("blk.{n}.ffn_gate_inp_shexp.weight", "blk.{n}.mtp.attn_q.weight"),
    ("talker", "code predictor"),
    tuple(_mtp_talker()),
)

THINKER = Family(
    "thinker",
    "llama.cpp's thinker file",
    ("token_embd.weight", "blk.{n}.attn_q_norm.weight", "blk.{n}.ffn_gate_inp.weight"),
    ("thinker",),
    _THINKER,
)

MMPROJ = Family(
    "mmproj",
    "encoders beside a thinker, as llama.cpp's mmproj files have them",
    ("a.conv2d.1.weight", "a.blk.{n}.attn_q.weight", "mm.a.mlp.1.weight"),
    ("audio encoder", "image encoder"),
    (*_mmproj(), *_mmproj_vision()),
    or_needs=("v.patch_embd.weight.1", "v.blk.{n}.attn_qkv.weight", "v.position_embd.weight", "mm.2.weight"),
)

FAMILIES = (SPEECH, ALL_IN_ONE, BUNDLED, MTP_TALKER, *VOCODERS, THINKER, MMPROJ)
"""In the order in which they are tried: a talker's names hold all of a thinker's."""

_OUR_KEY = f"{ARCHITECTURE}.format_version"


def recognise(names: Collection[str], metadata: Mapping[str, object]) -> Family | None:
    """The family of a file with these tensors and metadata, None where it is none of them.

    Our own speech file has keys that no other has; what it lacks is then said by the loader.
    """
    if _OUR_KEY in metadata or metadata.get("general.architecture") == ARCHITECTURE:
        return SPEECH
    return next((family for family in FAMILIES[1:] if family.fits(names)), None)

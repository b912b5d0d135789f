"""Which tensor is stored in which type, as data.

Patterns are shell patterns over checkpoint names, and the first that matches decides. They say what was found to
matter, not what would be nice: a table that is wrong here is a voice that is wrong everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from gguf import GGMLQuantizationType

from omniggml.errors import InputError

F32, F16, BF16, Q8_0 = (
    GGMLQuantizationType.F32,
    GGMLQuantizationType.F16,
    GGMLQuantizationType.BF16,
    GGMLQuantizationType.Q8_0,
)

Q8_0_BLOCK = 32
"""A row is cut into blocks of this many values; a row that isn't a multiple can't be Q8_0."""

Rules = tuple[tuple[str, GGMLQuantizationType], ...]

ALWAYS_F32: Rules = (
    ("*norm.weight", F32),
    ("*.bias", F32),
    # Exponentiated when used: an error here is multiplied.
    ("*.alpha", F32),
    ("*.beta", F32),
    ("*_layer_scale.scale", F32),
    ("*.gamma", F32),
    # Which expert answers is decided by small differences between these products.
    ("*.mlp.gate.weight", F32),
    ("*.mlp.shared_expert_gate.weight", F32),
    # Every sample of the waveform is made from these rows; they are looked up, so F32 costs no time.
    ("code2wav.code_embedding.weight", F32),
    # Tiny, and their output passes F16's range in trained weights.
    ("*.dwconv.conv.weight", F32),
)

SENSITIVE_F16: Rules = (
    ("talker.code_predictor.lm_head.*", F16),
    # Convolution kernels: rows are too short for blocks of 32, and errors here are heard directly.
    ("code2wav.upsample.*.0.conv.weight", F16),
    ("code2wav.decoder.*.weight", F16),
)


@dataclass(frozen=True)
class Precision:
    """One value of `--type`: the rules, and the type of everything else."""

    name: str
    rules: Rules
    otherwise: GGMLQuantizationType

    def type_of(self, name: str, shape: tuple[int, ...]) -> GGMLQuantizationType:
        """Type of the tensor with this checkpoint name (experts without their number) and PyTorch shape."""
        chosen = next((type_ for pattern, type_ in self.rules if fnmatchcase(name, pattern)), self.otherwise)
        if chosen is Q8_0 and shape[-1] % Q8_0_BLOCK != 0:
            return F16
        return chosen


PRECISIONS: dict[str, Precision] = {
    precision.name: precision
    for precision in (
        Precision("f32", (), F32),
        Precision("f16", ALWAYS_F32, F16),
        Precision("bf16", ALWAYS_F32, BF16),
        Precision("q8_0", ALWAYS_F32 + SENSITIVE_F16, Q8_0),
    )
}
"""By the name that `--type` takes."""


def precision_named(name: str) -> Precision:
    """The precision of this name. Raises InputError, listing the names, when there is none."""
    if name not in PRECISIONS:
        raise InputError(f"there is no type {name!r}: choose one of {', '.join(PRECISIONS)}")
    return PRECISIONS[name]

"""Random weights of a Qwen3-Omni that behaves: values stay near one, experts differ, the waveform is audible.

A tensor's values depend on the geometry's name, the seed and the tensor's own name, and on nothing else, so tensors
can be made in any order and in blocks. Only integer arithmetic and single IEEE operations are involved: the same
bytes come out of every NumPy version and every processor.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from omniggml.synthetic.geometries import Geometry

_BLOCK = 1 << 18
"""Values made at a time; bounds the memory needed for a tensor of any size."""

_SUM_OF_FOUR_DEVIATION = 37837.22700  # of four uniform 16-bit integers: sqrt(4 * (65536**2 - 1) / 12)
_EOS_CHANNEL = 5
_EOS_CONSTANT = 24.0


@dataclass(frozen=True)
class Recipe:
    """How one tensor is filled: bell-shaped around `mean` with `deviation`, or even between `low` and `high`.

    `rows` multiplies single rows of the first axis, `entries` sets single values of a matrix or vector afterwards.
    """

    mean: float = 0.0
    deviation: float = 0.0
    uniform: tuple[float, float] | None = None
    rows: dict[int, float] = field(default_factory=dict)
    entries: dict[tuple[int, ...], float] = field(default_factory=dict)


def weight_blocks(
    geometry: Geometry, seed: int, name: str, shape: tuple[int, ...]
) -> Iterator[npt.NDArray[np.float32]]:
    """Values of the tensor `name`, float32 [n, *shape[1:]] for successive n rows, some 200,000 values at a time."""
    recipe = recipe_for(geometry, name, shape)
    digest = hashlib.sha256(f"omniggml random checkpoint 1/{geometry.name}/{seed}/{name}".encode()).digest()
    stream = np.random.PCG64(int.from_bytes(digest, "little"))
    row = int(np.prod(shape[1:], dtype=np.int64))
    step = max(1, _BLOCK // row)
    for start in range(0, shape[0], step):
        count = min(step, shape[0] - start)
        values = _draw(stream, recipe, count * row).reshape(count, *shape[1:])
        for index, factor in recipe.rows.items():
            if start <= index < start + count:
                values[index - start] *= np.float32(factor)
        for position, value in recipe.entries.items():
            if start <= position[0] < start + count:
                values[(position[0] - start, *position[1:])] = value
        yield values


def recipe_for(geometry: Geometry, name: str, shape: tuple[int, ...]) -> Recipe:
    """The recipe of one tensor, from the first pattern that matches its name."""
    for pattern, gain in _RECIPES:
        if re.fullmatch(pattern, name):
            recipe = gain if isinstance(gain, Recipe) else Recipe(deviation=gain / _fan_in(name, shape) ** 0.5)
            return _with_exceptions(geometry, name, recipe)
    raise KeyError(f"no recipe for {name}")


_RECIPES: tuple[tuple[str, Recipe | float], ...] = (
    # Queries and keys are normed, so these two set how sharply a head attends.
    (r".*\.[qk]_norm\.weight", Recipe(mean=1.5, deviation=0.2)),
    (r".*norm\.weight", Recipe(mean=1.0, deviation=0.15)),
    (r"thinker\.visual\..*\.(norm[12]|ln_q)\.weight", Recipe(mean=1.0, deviation=0.15)),
    (r"thinker\.visual\.pos_embed\.weight", Recipe(deviation=0.5)),
    (r".*\.1\.norm\.bias", Recipe(deviation=0.1)),
    (r".*layer_scale\.scale", Recipe(uniform=(0.1, 0.5))),
    (r".*\.gamma", Recipe(uniform=(0.1, 0.5))),
    # Logarithms. 1/beta times alpha is the steepness of a Snake; near one it neither vanishes nor turns chaotic.
    (r".*\.alpha", Recipe(uniform=(0.5, 1.75))),
    (r".*\.beta", Recipe(uniform=(1.25, 3.0))),
    (r".*\.bias", Recipe(deviation=0.05)),
    # Embeddings enter a residual stream and code groups are averaged or summed; rows are looked up, not multiplied.
    (r"thinker\.model\.embed_tokens\.weight", Recipe(deviation=1.0)),
    (r"code2wav\.code_embedding\.weight", Recipe(deviation=2.0)),
    (r".*codec_embedding(\.\d+)?\.weight", Recipe(deviation=0.5)),
    # Wide logits: the best token and the k-th expert stand clear of the next.
    (r".*\.mlp\.gate\.weight", 3.0),
    (r".*shared_expert_gate\.weight", 2.0),
    (r"thinker\.lm_head\.weight", 5.0),
    (r"talker\.codec_head\.weight", 5.0),
    (r"talker\.code_predictor\.lm_head\.\d+\.weight", 5.0),
    (r"talker\.(text|hidden)_projection\.linear_fc2\.weight", 2.0),
    (r"code2wav\.decoder\.\d+\.block\.\d\.conv2\.conv\.weight", 0.5),
    (r".*\.weight", 1.0),
)


def _fan_in(name: str, shape: tuple[int, ...]) -> int:
    """How many inputs add up in one output value."""
    if re.fullmatch(r".*\.block\.1\.conv\.weight", name):
        return shape[0] * 2  # transposed, kernel twice the stride: two taps of every input channel meet
    if re.fullmatch(r".*upsample\.\d+\.0\.conv\.weight", name):
        return shape[0]  # transposed, kernel equal to the stride: one tap
    return int(np.prod(shape[1:], dtype=np.int64))


def _with_exceptions(geometry: Geometry, name: str, recipe: Recipe) -> Recipe:
    """What a geometry asks for beyond its shapes: when speech ends, how loud it is, which tokens text is made of."""
    if name == "thinker.lm_head.weight":
        # Special and padding tokens would break up the text that a random thinker "writes"; im_end may still end it.
        first = len(geometry.tokenizer.vocabulary)
        end = geometry.tokenizer.added["<|im_end|>"]
        quiet = {row: 0.2 for row in range(first, geometry.thinker.vocab_size) if row != end}
        return Recipe(recipe.mean, recipe.deviation, recipe.uniform, rows=quiet)
    if name == "talker.codec_head.weight":
        return _codec_head(geometry, recipe)
    if geometry.codec_eos == "first" and name.endswith("_projection.linear_fc2.bias"):
        return Recipe(recipe.mean, recipe.deviation, entries={(_EOS_CHANNEL,): _EOS_CONSTANT})
    last = len(geometry.code2wav.upsample_rates) + 2
    if name == f"code2wav.decoder.{last}.conv.weight":
        return Recipe(recipe.mean, recipe.deviation * geometry.loudness, recipe.uniform)
    return recipe


def _codec_head(geometry: Geometry, recipe: Recipe) -> Recipe:
    eos = geometry.talker.codec_eos_token_id
    if geometry.codec_eos == "never":
        return Recipe(recipe.mean, recipe.deviation, rows={eos: 0.2})
    if geometry.codec_eos == "first":
        # The projections' bias makes one channel large and positive at every position; codec eos listens to it.
        return Recipe(recipe.mean, recipe.deviation, entries={(eos, _EOS_CHANNEL): _EOS_CONSTANT})
    return recipe


def _draw(stream: np.random.PCG64, recipe: Recipe, count: int) -> npt.NDArray[np.float32]:
    raw = stream.random_raw(count)
    if recipe.uniform is not None:
        low, high = recipe.uniform
        unit = (raw >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)
        return np.asarray(unit * np.float32(high - low) + np.float32(low), dtype=np.float32)
    quarters = raw.view(np.uint16).reshape(count, 4).astype(np.int32)
    centred = quarters.sum(axis=1, dtype=np.int32) - np.int32(131070)
    scale = np.float32(recipe.deviation / _SUM_OF_FOUR_DEVIATION)
    return np.asarray(centred.astype(np.float32) * scale + np.float32(recipe.mean), dtype=np.float32)

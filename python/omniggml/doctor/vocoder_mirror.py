"""Code2wav once more, in NumPy, so that it can be run with a mistake.

The engine's graph has no switch for being wrong; this mirror has one for every choice that a port has to make, of one
module or of all, and reads its weights through a mapping, so that these can be mistaken, too. It is used by the doctor
alone. `tests/test_doctor_mirror.py` holds it to the engine. Without choices it computes what
Qwen3OmniMoeCode2Wav.forward does: whole speeches at once, float32, [channels, time].

It computes stage by stage (`stages`), so that a trial begins where its mistake does.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache, lru_cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml.doctor.products import NeededProduct, Steps, computed
from omniggml.doctor.remembered import Remembered

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

DILATIONS = (1, 3, 9)
_LAYER_NORM_EPS = 1e-6
_PATHS_KEPT = 1 << 16
_TRANSFORMER = "code2wav.pre_transformer"


@dataclass(frozen=True)
class Choices:
    """How code2wav, or one module of it, is computed; the defaults are right.

    `pool`: "mean" or "sum" of the groups' embeddings, or their sum over the root of their number ("sqrt") or over
    one less ("fewer"), or the first beside the mean of the others ("first apart"); `not_added`: groups that are
    missing from it. `stride`: rows from one group's codes to the next, None: the codebook's size; `first` and
    `group` are added to every code and to every group's number, which is at least `lowest`. `window`: frames seen,
    0 for all, None for the file's; `sees`: "past", "all", "around" (the window on both sides), "later" (the window
    and all that comes later) or "its block" (of the window, up to itself); `masked`: what scores become there,
    "nothing", "zero", "raised" (as they are, and all others by one more: a mask of booleans is added) or "by N
    less". `rope`: "halves" (NEOX), "pairs", "backwards", "narrow" (half of a head), "off", or "angles in halves" or
    "in pairs" while channels turn as the other; `rotated`: which of "qkv"; `late_keys`: positions by which keys are
    late; `scale_first`: the layer scale comes before the output projection; `positions`: "each", "same",
    "reversed", "doubled", "halved", "anew every N". `scale`: what scores are divided by: "root" of the head's
    width, "width", "one", "hidden" (the root of all channels). `heads` are joined in "blocks", "interleaved", or
    "unmoved" (all frames of a head come before the next head's); `key_heads` are "repeated" or "tiled"; `head_width`:
    "own", "doubled" or "halved", of half or twice as many. `eps`,
    `theta`: in place of the file's. `norm`: "rms", "layer", "l2", "bare" (without weight), "eps outside" of the
    root, "over time", "off", or "last-off" without the one at the end; `layer_norm`, of ConvNeXt: "layer", "rms",
    "l2", "eps outside", "off", and its `layer_eps`. `silu` and `gelu` name the activations of the MLP and of
    ConvNeXt; `gate`: "product" or "sum". `residual`: "added", "none", "normed" (taken after the norm, or a unit's
    first Snake), "scaled" (by the branch's scale or gamma, too), "mean". `order`: "attention first", "mlp first",
    "parallel". `layers`: which, in which order. `used`: whether a residual unit is; `units`: these follow each
    other in a "chain", or all see the first one's input, and what they make is "averaged", or what their branches
    make added ("beside" each other). `snake`: "exp", "plain" for alpha and beta as stored, "alpha" for alpha in
    beta's place, and more in `_SNAKES`; `snake_after`: it follows the transposed convolution. `trim`: which sides
    of a transposed convolution lose their margin: "both", "right", "left", "none", or "halves", of which each loses
    one; `upsampled`: "learned", by it, "repeated", each frame as often, "in blocks", what each tap makes of all
    frames one behind the other, or "overwritten", where they overlap the later frame's alone. `padding`: "causal",
    "centred", "right", "edge", "mirror", "circle", "undilated" (before as much as without dilation, the rest
    behind). `dilated`: whether the residual units' kernels are; `dilations`: by how much. `rates`: of the decoder.
    `limit`: "clip", "tanh", "none", "peak", "wrap". `biases`, `layer_scale`, `gamma`: whether they are there.
    `half`: activations rounded to float16, infinite beyond its range.
    """

    pool: str = "mean"
    not_added: tuple[int, ...] = ()
    stride: int | None = None
    first: int = 0
    group: int = 0
    lowest: int | None = None
    late_keys: int = 0
    scale_first: bool = False
    window: int | None = None
    sees: str = "past"
    masked: str = "nothing"
    rope: str = "halves"
    rotated: str = "qk"
    positions: str = "each"
    scale: str = "root"
    heads: str = "blocks"
    key_heads: str = "repeated"
    head_width: str = "own"
    eps: float | None = None
    theta: float | None = None
    norm: str = "rms"
    layer_norm: str = "layer"
    layer_eps: float = _LAYER_NORM_EPS
    silu: str = "silu"
    gelu: str = "erf"
    gate: str = "product"
    residual: str = "added"
    order: str = "attention first"
    layers: tuple[int, ...] | None = None
    used: bool = True
    units: str = "chain"
    snake: str = "exp"
    snake_after: bool = False
    trim: str = "both"
    upsampled: str = "learned"
    padding: str = "causal"
    dilated: bool = True
    dilations: tuple[int, ...] = DILATIONS
    rates: tuple[int, ...] | None = None
    limit: str = "clip"
    biases: bool = True
    layer_scale: bool = True
    gamma: bool = True
    half: bool = False

    def at(self, path: str) -> Choices:
        """Those of a module: the same everywhere."""
        return self


@dataclass(frozen=True)
class Scoped:
    """Choices of the modules whose paths fit a pattern (`*` stands for anything); all else is right."""

    changes: tuple[tuple[str, Choices], ...]
    _known: dict[str, Choices] = field(default_factory=dict, repr=False, compare=False)

    def at(self, path: str) -> Choices:
        """Those of a module."""
        if path not in self._known:  # asked for some thousand times a trial
            fitting = (choices for pattern, choices in self.changes if _fits(path, pattern))
            self._known[path] = next(fitting, RIGHT)
        return self._known[path]

    def __add__(self, other: Scoped) -> Scoped:
        """Both; of the same module the first."""
        if not self.changes or not other.changes:
            return self if self.changes else other
        return Scoped(self.changes + other.changes)


@lru_cache(maxsize=_PATHS_KEPT)
def _fits(path: str, pattern: str) -> bool:
    return fnmatchcase(path, pattern)


RIGHT = Choices()
AnyChoices = Choices | Scoped


@dataclass(frozen=True)
class StagePart:
    """Of what a stage behind the transformer makes: only what is `made`. `before`: what its first convolution is given
    before what enters the stage, [channels, time], in place of padding."""

    made: slice = field(default_factory=lambda: slice(None))
    before: FloatArray | None = None


WHOLE = StagePart()


@dataclass
class VocoderMirror:
    """`weights`: our names to values. `geometry`: the code2wav section of `Model.geometry`. `seen`: module path to
    what it computed in the last run, in the reference's axes without batch, where `watch` is set. `remembered`: what
    its right modules made of arrays that are known."""

    weights: Mapping[str, FloatArray]
    geometry: Mapping[str, Any]
    watch: bool = False
    seen: dict[str, FloatArray] = field(default_factory=dict)
    _cache: dict[str, FloatArray] = field(default_factory=dict)
    _stages: tuple[str, ...] = ()
    remembered: Remembered | None = None
    _misread: frozenset[str] = frozenset()  # names of tensors that have other values than `weights`
    _kept: tuple[IntArray, FloatArray] | None = None  # codes, and the samples that are made of them without a mistake

    def __call__(self, codes: npt.NDArray[Any], choices: AnyChoices = RIGHT) -> FloatArray:
        """Codes, integers [groups, frames] -> float32 samples. Rows beyond the table wrap around it."""
        self.seen = {}
        codes = np.asarray(codes, np.int64)
        if self.watch or choices not in (RIGHT, Scoped(())):
            return self.from_stage(0, codes, choices)
        # Of the first frames all samples are the first ones.
        n, kept = codes.shape[1], self._kept
        if kept is not None and np.array_equal(kept[0][:, :n], codes):
            end = len(kept[1]) - self.per_frame * (kept[0].shape[1] - n)
            if end > 0:
                return kept[1][:end].copy()
        samples = self.from_stage(0, codes)
        if kept is None or kept[0].shape[1] < n:  # not what is tried of others in between
            self._kept = codes.copy(), samples.copy()
        return samples

    @property
    def convolutions(self) -> int:
        """The first stage behind the transformer, in which not all is seen that comes before."""
        return next(number for number, stage in enumerate(self.stages()) if ".upsample." in stage)

    @property
    def per_frame(self) -> int:
        """Samples."""
        return int(np.prod([*self.geometry["upsampling_ratios"], *self.geometry["upsample_rates"]]))

    def from_stage(self, first: int, x: npt.NDArray[Any], choices: AnyChoices = RIGHT) -> FloatArray:
        """From what enters stage number `first` to the samples."""
        with np.errstate(over="ignore", invalid="ignore"):
            for stage in self.stages()[first:]:
                x = self.step(stage, x, choices)
        return np.asarray(x[0], np.float32)

    def entering(
        self, codes: npt.NDArray[Any], choices: AnyChoices = RIGHT, n_stages: int | None = None
    ) -> list[npt.NDArray[Any]]:
        """What enters each of the first `n_stages`, or of all."""
        x: npt.NDArray[Any] = np.asarray(codes, np.int64)
        inputs = [x]
        with np.errstate(over="ignore", invalid="ignore"):
            for stage in self.stages()[:n_stages][:-1]:
                x = self.step(stage, x, choices)
                inputs.append(x)
        return inputs

    def stages(self) -> tuple[str, ...]:
        """Module paths, in the order in which they are computed; each takes what the one before it gives."""
        if not self._stages:
            names = ("num_hidden_layers", "upsampling_ratios", "upsample_rates")
            layers, ratios, rates = (self.geometry[name] for name in names)
            self._stages = _stages(int(layers), len(ratios), len(rates))
        return self._stages

    def stage_of(self, path: str, choices: AnyChoices = RIGHT) -> int:
        """The stage in which a module is first computed with: of residual units side by side that of the first."""
        block, _, inside = path.partition(".block.")
        if inside[:1] in "34" and inside and choices.at(block).units != "chain":
            path = f"{block}.block.2"
        return _stages_of(self.stages(), path)[0]

    def last_stage_of(self, path: str) -> int:
        """The last stage in which a module is computed with, at most."""
        return _stages_of(self.stages(), path)[1]

    def with_weights(self, changed: Mapping[str, FloatArray]) -> VocoderMirror:
        """The same with other values of some tensors, under their full names."""
        return VocoderMirror(
            self.weights,
            self.geometry,
            remembered=self.remembered,
            _cache={**self._cache, **changed},
            _stages=self.stages(),
            _misread=self._misread.union(changed),
        )

    def remembering(self) -> VocoderMirror:
        """The same, and what it makes of arrays that `remembered` knows is kept."""
        other = copy.copy(self)
        other.remembered = Remembered()
        return other

    def weight(self, name: str) -> FloatArray:
        """Values of a tensor by its full name."""
        return self._weight(name)

    def step(self, stage: str, x: npt.NDArray[Any], choices: AnyChoices, look: StagePart = WHOLE) -> FloatArray:
        """What one stage makes of what enters it. Behind the transformer that may be several, [channels, several,
        time], of which a part alone is looked at."""
        return computed(self.steps(stage, x, choices, look))

    def steps(self, stage: str, x: npt.NDArray[Any], choices: AnyChoices, look: StagePart = WHOLE) -> Steps[FloatArray]:
        """`step`, product by product."""
        part = stage.removeprefix("code2wav.").split(".")
        if part[0] == "code_embedding":
            return self._embed(x, choices)
        if part[0] == "pre_transformer":
            if part[1] == "layers":
                return (yield from self._layer(int(part[2]), x, choices))
            return self._last_norm(x, choices)
        if part[0] == "upsample" and part[2] == "1":
            return (yield from self._convnext(stage, x, choices, look))
        if part[0] == "upsample":
            rate = self.geometry["upsampling_ratios"][int(part[1])]
            return (yield from self._transposed(stage, x, rate, choices))[..., look.made]
        if part[0] == "decoder":
            return (yield from self._decoder(stage, part, x, choices, look))
        return self._keep("code2wav", limited(choices.at("code2wav").limit, x))[..., look.made]

    def bent(self, stage: str, x: FloatArray, choices: AnyChoices) -> FloatArray:
        """What a stage's first convolution is given, of what enters the stage."""
        part = stage.removeprefix("code2wav.").split(".")
        if part[0] == "decoder" and len(part) == 2 and part[1] != "0":
            return self._snake(f"code2wav.decoder.{int(part[1]) - 1}", x, choices)
        return self._snake(f"{stage}.act1", x, choices) if part[0] == "decoder" and len(part) > 2 else x

    # --- pieces -----------------------------------------------------------------------------------------------------

    def _weight(self, name: str) -> FloatArray:
        if name not in self._cache:
            self._cache[name] = np.ascontiguousarray(self.weights[name], np.float32)
        return self._cache[name]

    def _is_right(self, path: str, choices: AnyChoices) -> bool:
        """Whether nothing is mistaken in a module of no others, nor in what is named after it."""
        return choices.at(path) is RIGHT and not any(name.startswith(path) for name in self._misread)

    def _are_right(self, paths: Iterable[str], choices: AnyChoices) -> bool:
        return all(self._is_right(path, choices) for path in paths)

    def _again(self, what: Hashable, x: FloatArray) -> FloatArray | None:
        """What was kept."""
        return None if self.remembered is None else self.remembered.made(what, x)

    def _keeping(self, what: Hashable, x: FloatArray, made: FloatArray) -> FloatArray:
        """`made`, kept where x is known."""
        return made if self.remembered is None else self.remembered.keep(what, x, made)

    def _bias(self, path: str, choices: AnyChoices) -> FloatArray:
        bias = self._weight(f"{path}.bias")
        return bias if choices.at(path).biases else np.zeros_like(bias)

    def _keep(self, path: str, x: FloatArray) -> FloatArray:
        if self.watch:
            self.seen[path] = x
        return x

    def _rounded(self, path: str, x: FloatArray, choices: AnyChoices) -> FloatArray:
        return x.astype(np.float16).astype(np.float32) if choices.at(path).half else x

    def _embed(self, codes: IntArray, choices: AnyChoices) -> FloatArray:
        own = choices.at("code2wav.code_embedding")
        table = self._weight("code2wav.code_embedding.weight")
        stride = self.geometry["codebook_size"] if own.stride is None else own.stride
        numbers = np.arange(len(codes))[:, None] + own.group
        numbers = numbers if own.lowest is None else np.maximum(numbers, own.lowest)
        rows = (codes + own.first + numbers * stride) % len(table)
        embedded = self._keep("code2wav.code_embedding", table[rows])
        n = len(codes)
        divisor = {"sum": 1, "sqrt": n**0.5, "fewer": max(n - 1, 1)}.get(own.pool, n)
        if own.pool == "first apart":
            return np.asarray(embedded[0] + embedded[1:].mean(axis=0, dtype=np.float32), np.float32)
        added = [group for group in range(n) if group not in own.not_added]
        return np.asarray(embedded[added].sum(axis=0, dtype=np.float32) / np.float32(divisor), np.float32)

    # --- transformer: [time, channels], or [several, time, channels] ------------------------------------------------

    def _layer(self, number: int, x: FloatArray, choices: AnyChoices) -> Steps[FloatArray]:
        chosen = choices.at(_TRANSFORMER).layers
        if chosen is not None and number >= len(chosen):
            return x
        path = f"{_TRANSFORMER}.layers.{number if chosen is None else chosen[number]}"
        order = choices.at(path).order
        if order == "parallel":
            attended = yield from self._attend(path, x, choices)
            x = attended + (yield from self._feed(path, x, choices)) - x
        elif order == "mlp first":
            x = yield from self._feed(path, x, choices)
            x = yield from self._attend(path, x, choices)
        else:
            x = yield from self._attend(path, x, choices)
            x = yield from self._feed(path, x, choices)
        return self._keep(path, np.asarray(x, np.float32))

    def _attend(self, path: str, x: FloatArray, choices: AnyChoices) -> Steps[FloatArray]:
        before, module = f"{path}.input_layernorm", f"{path}.self_attn"
        right = self._are_right((before, module, f"{module}_layer_scale"), choices)
        if right and (again := self._again(module, x)) is not None:
            return again
        normed = self._rms(before, x, choices)
        y = yield from self._attention(module, normed, choices)
        y = y if choices.at(module).scale_first else self._scale(f"{module}_layer_scale", y, choices)
        attended = self._added(module, x, normed, y, choices)
        return self._keeping(module, x, attended) if right else attended

    def _feed(self, path: str, x: FloatArray, choices: AnyChoices) -> Steps[FloatArray]:
        normed = self._rms(f"{path}.post_attention_layernorm", x, choices)
        module = f"{path}.mlp"
        y = yield from self._mlp(module, normed, choices)
        y = self._scale(f"{module}_layer_scale", y, choices)
        return self._added(module, x, normed, y, choices)

    def _added(self, module: str, x: FloatArray, normed: FloatArray, y: FloatArray, choices: AnyChoices) -> FloatArray:
        residual = choices.at(module).residual
        x = self._scale(f"{module}_layer_scale", x, choices) if residual == "scaled" else x
        return _joined(residual, x, normed, y)

    def _last_norm(self, x: FloatArray, choices: AnyChoices) -> FloatArray:
        path = f"{_TRANSFORMER}.norm"
        if choices.at(path).norm != "last-off":
            x = self._rms(path, x, choices)
        return np.ascontiguousarray(np.moveaxis(self._keep(_TRANSFORMER, x), -1, 0))

    def _rms(self, path: str, x: FloatArray, choices: AnyChoices) -> FloatArray:
        right = self._is_right(path, choices)
        if right and (again := self._again(path, x)) is not None:
            return again
        normed = self._normed(path, x, choices.at(path))
        return self._keeping(path, x, normed) if right else normed

    def _normed(self, path: str, x: FloatArray, own: Choices) -> FloatArray:
        eps = np.float32(self.geometry["rms_norm_eps"] if own.eps is None else own.eps)
        weight = self._weight(f"{path}.weight")
        if own.norm == "layer":
            x = x - x.mean(axis=-1, keepdims=True)
        if own.norm == "over time":
            x = x / np.sqrt(np.square(x).mean(axis=-2, keepdims=True) + eps)
        elif own.norm != "off":
            power = np.square(x).sum(axis=-1, keepdims=True) / (1 if own.norm == "l2" else x.shape[-1])
            x = x / (np.sqrt(power) + eps if own.norm == "eps outside" else np.sqrt(power + eps))
        return np.asarray(x if own.norm == "bare" else x * weight, np.float32)

    def _scale(self, path: str, x: FloatArray, choices: AnyChoices) -> FloatArray:
        return x * self._weight(f"{path}.scale") if choices.at(path).layer_scale else x

    def _mlp(self, path: str, x: FloatArray, choices: AnyChoices) -> Steps[FloatArray]:
        own = choices.at(path)
        opened = ACTIVATIONS[own.silu]((yield from self._projected(f"{path}.gate_proj", x)))
        up = yield from self._projected(f"{path}.up_proj", x)
        inner = self._rounded(path, opened + up if own.gate == "sum" else opened * up, choices)
        return np.asarray((yield from self._projected(f"{path}.down_proj", inner)), np.float32)

    def _projected(self, path: str, x: FloatArray) -> Steps[FloatArray]:
        """x: [.., channels]. The weight comes first: of few rows BLAS is faster so."""
        right = self._is_right(path, RIGHT)
        if right and (again := self._again(path, x)) is not None:
            return again
        weight = self._weight(f"{path}.weight")
        product = yield from self._product(path, weight, x.reshape(-1, x.shape[-1]).T, weight)
        made = product.T.reshape(*x.shape[:-1], -1)
        return self._keeping(path, x, made) if right else made

    def _product(self, path: str, matrix: FloatArray, columns: FloatArray, weight: FloatArray) -> Steps[FloatArray]:
        return (yield NeededProduct(_stages_of(self.stages(), path)[0], matrix, columns, weight))

    def _head_width(self, own: Choices) -> int:
        width = int(self.geometry["head_dim"])
        return {"doubled": 2 * width, "halved": width // 2}.get(own.head_width, width)

    def _rotation(self, time: int, own: Choices, late: int = 0) -> tuple[FloatArray, FloatArray]:
        width = self._head_width(own) // (2 if own.rope == "narrow" else 1)
        theta = self.geometry["rope_theta"] if own.theta is None else own.theta
        speeds = theta ** (-np.arange(0, width, 2) / width)
        each = np.arange(time)
        if own.positions.startswith("anew"):
            each = each % int(own.positions.split()[-1])
        at = {"same": 0 * each, "reversed": each[::-1], "doubled": 2 * each, "halved": each / 2}.get(
            own.positions, each
        )
        angles = (at[:, None] + late) * (speeds * {"off": 0, "backwards": -1}.get(own.rope, 1))
        return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)

    def _mask(self, time: int, own: Choices) -> npt.NDArray[np.bool_]:
        window = self.geometry["sliding_window"] if own.window is None else own.window
        back = np.arange(time)[:, None] - np.arange(time)[None, :]
        if own.sees == "all":
            return np.ones_like(back, bool)
        if own.sees == "its block":
            block = np.arange(time) // max(window, 1)
            return np.asarray((back >= 0) & (block[:, None] == block[None]))
        if own.sees == "later":
            return np.asarray(back < window) if window else np.ones_like(back, bool)
        if own.sees == "around":
            return np.asarray(np.abs(back) < window)
        return np.asarray((back >= 0) & ((back < window) if window else True))

    def _attention(self, path: str, x: FloatArray, choices: AnyChoices) -> Steps[FloatArray]:
        own = choices.at(path)
        width = self._head_width(own)
        heads, kv_heads = self.geometry["num_attention_heads"], self.geometry["num_key_value_heads"]
        parts = []
        for part in "qkv":
            made = yield from self._projected(f"{path}.{part}_proj", x)
            parts.append(made.reshape(*x.shape[:-1], -1, width))
        q, k, v = parts
        time = x.shape[-2]
        rotation = self._rotation(time, own)
        q = _rotated(q, rotation, own.rope) if "q" in own.rotated else q
        late = self._rotation(time, own, own.late_keys) if own.late_keys else rotation
        k = _rotated(k, late, own.rope) if "k" in own.rotated else k
        v = _rotated(v, rotation, own.rope) if "v" in own.rotated else v
        again = heads // kv_heads
        k, v = (np.tile(p, (1, again, 1)) if own.key_heads == "tiled" else np.repeat(p, again, axis=-2) for p in (k, v))
        divisor = {"width": width, "one": 1, "hidden": x.shape[-1] ** 0.5}.get(own.scale, width**0.5)
        q, k, v = (part.swapaxes(-3, -2) for part in (q, k, v))  # [.., heads, time, width]
        scores = q @ k.swapaxes(-2, -1) / np.float32(divisor)
        scores = _masked(np.asarray(scores, np.float32), self._mask(time, own), own.masked)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        mixed = weights @ v
        mixed = mixed if own.heads == "unmoved" else mixed.swapaxes(-3, -2)
        mixed = mixed.swapaxes(-2, -1) if own.heads == "interleaved" else mixed
        mixed = mixed.reshape(*x.shape[:-1], -1)
        mixed = mixed * self._weight(f"{path}_layer_scale.scale") if own.scale_first else mixed
        return np.asarray((yield from self._projected(f"{path}.o_proj", mixed)), np.float32)

    # --- convolutions: [channels, time], or [channels, several, time] -------------------------------------------------

    def _convnext(self, path: str, x: FloatArray, choices: AnyChoices, look: StagePart) -> Steps[FloatArray]:
        own = choices.at(path)
        # That norm looks at all.
        first, last = (
            (WHOLE, look.made) if choices.at(f"{path}.norm").layer_norm == "over time" else (look, slice(None))
        )
        normed = self._normed_across(path, x, choices, first)
        y = yield from self._opened(path, x, normed, choices)
        y = (yield from self._projected(f"{path}.pwconv2", y)) + self._bias(f"{path}.pwconv2", choices)
        gamma = self._weight(f"{path}.gamma")
        y = (y * gamma if own.gamma else y).reshape(normed.shape)
        normed, y = (np.moveaxis(part, -1, 0)[..., last] for part in (normed, y))
        x = x[..., look.made]
        x = x * _beside(gamma, x) if own.residual == "scaled" else x
        return self._keep(path, np.asarray(_joined(own.residual, x, normed, y), np.float32))

    def _normed_across(self, path: str, x: FloatArray, choices: AnyChoices, look: StagePart) -> FloatArray:
        """What ConvNeXt's norm makes of its convolution, [.., time, channels]."""
        what = path, look.made.indices(x.shape[-1])
        right = look.before is None and self._are_right((f"{path}.dwconv", f"{path}.norm"), choices)
        if right and (again := self._again(what, x)) is not None:
            return again
        across = self._depthwise(f"{path}.dwconv", x, choices, look)
        normed = self._layer_norm(f"{path}.norm", np.moveaxis(across, 0, -1), choices)
        return self._keeping(what, x, normed) if right else normed

    def _opened(self, path: str, x: FloatArray, normed: FloatArray, choices: AnyChoices) -> Steps[FloatArray]:
        """What ConvNeXt's activation makes of what its norm does, [times, channels]."""
        right = choices.at(path) is RIGHT and self._is_right(f"{path}.pwconv1", choices)
        if right and (again := self._again(path, normed)) is not None:
            return again
        y = yield from self._projected(f"{path}.pwconv1", normed.reshape(-1, len(x)))
        y = np.asarray(ACTIVATIONS[choices.at(path).gelu](y + self._bias(f"{path}.pwconv1", choices)), np.float32)
        return self._keeping(path, normed, y) if right else y

    def _layer_norm(self, path: str, x: FloatArray, choices: AnyChoices) -> FloatArray:
        own = choices.at(path)
        if own.layer_norm in ("layer", "eps outside"):
            x = x - x.mean(axis=-1, keepdims=True)
        if own.layer_norm == "over time":
            x = x - x.mean(axis=-2, keepdims=True)
            x = x / np.sqrt(np.mean(np.square(x), axis=-2, keepdims=True) + np.float32(own.layer_eps))
        elif own.layer_norm != "off":
            power, eps = np.mean(np.square(x), axis=-1, keepdims=True), np.float32(own.layer_eps)
            power = power * x.shape[-1] if own.layer_norm == "l2" else power
            x = x / (np.sqrt(power) + eps if own.layer_norm == "eps outside" else np.sqrt(power + eps))
        return np.asarray(x * self._weight(f"{path}.weight") + self._bias(path, choices), np.float32)

    def _decoder(
        self, stage: str, part: list[str], x: FloatArray, choices: AnyChoices, look: StagePart
    ) -> Steps[FloatArray]:
        if len(part) == 2:
            return self._keep(
                stage, (yield from self._convolved(stage, self.bent(stage, x, choices), 1, choices, look))
            )
        number = int(part[1])
        block, unit = f"code2wav.decoder.{number}", int(part[3])
        if unit == 1:
            rates = choices.at("code2wav.decoder").rates or self.geometry["upsample_rates"]
            before, after = f"{block}.block.0", choices.at(block).snake_after
            x = x if after else self._snake(before, x, choices)
            x = (yield from self._transposed(stage, x, rates[number - 1], choices))[..., look.made]
            return self._snake_narrow(before, x, choices) if after else x
        if choices.at(block).units == "chain":
            x = yield from self._unit(stage, x, choices.at(block).dilations[unit - 2], choices, look)
        elif unit == 2:
            x = yield from self._units(block, x, choices, look)
        else:
            x = x[..., look.made]
        return self._keep(block, x) if unit == 1 + len(DILATIONS) else x

    def _units(self, block: str, x: FloatArray, choices: AnyChoices, look: StagePart) -> Steps[FloatArray]:
        """All residual units of what the first is given."""
        own, made = choices.at(block), []
        for unit, dilation in enumerate(own.dilations, 2):
            made.append((yield from self._unit(f"{block}.block.{unit}", x, dilation, choices, look)))
        return merged(own.units, made, x[..., look.made])

    def _unit(self, path: str, x: FloatArray, dilation: int, choices: AnyChoices, look: StagePart) -> Steps[FloatArray]:
        own = choices.at(path)
        if not own.used:
            return x[..., look.made]
        bent = self.bent(path, x, choices)
        # The second is of one tap, and looks no further.
        short = self._weight(f"{path}.conv2.conv.weight").shape[2] == 1
        first, second = (look, WHOLE) if short else (StagePart(before=look.before), StagePart(look.made))
        dilation = dilation if choices.at(f"{path}.conv1").dilated else 1
        y = yield from self._convolved(f"{path}.conv1", bent, dilation, choices, first)
        y = yield from self._convolved(f"{path}.conv2", self._snake(f"{path}.act2", y, choices), 1, choices, second)
        return _joined(own.residual, x[..., look.made], bent[..., look.made], y)

    def _snake(self, path: str, x: FloatArray, choices: AnyChoices) -> FloatArray:
        right = self._is_right(path, choices)
        if right and (again := self._again(path, x)) is not None:
            return again
        alpha, beta = (_beside(self._weight(f"{path}.{name}"), x) for name in ("alpha", "beta"))
        y = snaked(choices.at(path).snake, x, alpha, beta)
        bent = self._rounded(path, np.asarray(y, np.float32), choices)
        return self._keeping(path, x, bent) if right else bent

    def _snake_narrow(self, path: str, x: FloatArray, choices: AnyChoices) -> FloatArray:
        """With the parameters of the first channels, after a convolution that has fewer."""
        alpha, beta = (_beside(self._weight(f"{path}.{name}")[: len(x)], x) for name in ("alpha", "beta"))
        return np.asarray(snaked(choices.at(path).snake, x, alpha, beta), np.float32)

    def _convolved(
        self, path: str, x: FloatArray, dilation: int, choices: AnyChoices, look: StagePart = WHOLE
    ) -> Steps[FloatArray]:
        first, last, _ = look.made.indices(x.shape[-1])
        what = path, dilation, first, last
        right = look.before is None and self._is_right(path, choices)
        if right and (again := self._again(what, x)) is not None:
            return again
        weight = self._weight(f"{path}.conv.weight")
        # All taps in one product: [out, channels * taps] @ [channels * taps, time].
        columns = self._columns(path, x, weight.shape[2], dilation, choices, look)
        y = yield from self._product(path, weight.reshape(len(weight), -1), columns, weight)
        y += self._bias(f"{path}.conv", choices)[:, None]
        made = self._rounded(path, y.reshape(len(weight), *x.shape[1:-1], last - first), choices)
        return self._keeping(what, x, made) if right else made

    def _columns(
        self, path: str, x: FloatArray, taps: int, dilation: int, choices: AnyChoices, look: StagePart
    ) -> FloatArray:
        """[channels * taps, time]: what each tap of a convolution is multiplied with."""
        first, last, _ = look.made.indices(x.shape[-1])
        what = "columns", taps, dilation, first, last
        right = look.before is None and choices.at(path) is RIGHT
        if right and (again := self._again(what, x)) is not None:
            return again
        whole = _lengthened(x, (taps - 1) * dilation, choices.at(path).padding, look.before, dilation)
        columns = _taps_of(whole, taps, dilation, first, last) if taps > 1 else whole[..., first:last]
        columns = columns.reshape(len(x) * taps, -1)
        return self._keeping(what, x, columns) if right and taps > 1 else columns

    def _depthwise(self, path: str, x: FloatArray, choices: AnyChoices, look: StagePart = WHOLE) -> FloatArray:
        weight = self._weight(f"{path}.conv.weight")[:, 0]
        whole = _lengthened(x, weight.shape[1] - 1, choices.at(path).padding, look.before)
        first, last, _ = look.made.indices(x.shape[-1])
        taps = range(weight.shape[1])
        terms = (whole[..., first + tap : last + tap] * _beside(weight[:, tap], x) for tap in taps)
        y = np.asarray(sum(terms) + _beside(self._bias(f"{path}.conv", choices), x), np.float32)
        return self._rounded(path, y, choices)

    def _transposed(self, path: str, x: FloatArray, rate: int, choices: AnyChoices) -> Steps[FloatArray]:
        if choices.at(path).upsampled == "repeated":
            return self._keep(path, np.repeat(x, rate, axis=-1))
        weight, trim = self._weight(f"{path}.conv.weight"), choices.at(path).trim
        channels, out, kernel = weight.shape
        taps, several, time = -(-kernel // rate), x.shape[1:-1], x.shape[-1]
        # Behind each lies nothing, so that what lies side by side is added as if it were one.
        longer = np.zeros((*x.shape[:-1], time + taps - 1), np.float32)
        longer[..., :time] = x
        parts = yield from self._product(path, weight.reshape(channels, -1).T, longer.reshape(channels, -1), weight)
        parts = parts.reshape(out, kernel, -1)
        parts = np.pad(parts, ((0, 0), (0, rate - kernel), (0, 0))) if kernel < rate else parts
        y = parts[:, :rate]
        for tap in range(1, 1 if choices.at(path).upsampled == "overwritten" else taps):
            part = parts[:, tap * rate : (tap + 1) * rate, :-tap]
            y[:, : part.shape[1], tap:] += part
        y += self._bias(f"{path}.conv", choices)[:, None, None]
        in_blocks = choices.at(path).upsampled == "in blocks"
        in_order = np.moveaxis(y.reshape(out, rate, *several, -1), 1, -2) if in_blocks else y.transpose(0, 2, 1)
        whole = in_order.reshape(out, *several, -1)
        left, right = trimmed(max(kernel - rate, 0), trim)
        return self._keep(path, self._rounded(path, whole[..., left : (time - 1) * rate + kernel - right], choices))


@lru_cache
def _stages(layers: int, ratios: int, rates: int) -> tuple[str, ...]:
    decoder, blocks = "code2wav.decoder", range(1, rates + 1)
    return (
        "code2wav.code_embedding",
        *(f"{_TRANSFORMER}.layers.{i}" for i in range(layers)),
        f"{_TRANSFORMER}.norm",
        *(f"code2wav.upsample.{i}.{part}" for i in range(ratios) for part in "01"),
        f"{decoder}.0",
        *(f"{decoder}.{n}.block.{part}" for n in blocks for part in range(1, 2 + len(DILATIONS))),
        f"{decoder}.{rates + 2}",
        "code2wav",
    )


@cache
def _stages_of(stages: tuple[str, ...], path: str) -> tuple[int, int]:
    """The first and the last; those of the module that holds it, where it is none of them and holds none."""
    if path in stages:
        return stages.index(path), stages.index(path)
    pieces = path.split(".")
    for n in range(len(pieces), 1, -1):
        start = ".".join(pieces[:n])
        found = [i for i, stage in enumerate(stages) if f"{stage}.".startswith(f"{start}.")]
        if found:
            return found[0], found[-1]
    return 0, len(stages) - 1


def _masked(scores: FloatArray, seen: npt.NDArray[np.bool_], how: str) -> FloatArray:
    """scores: [.., heads, queries, keys]; `seen` of them, [queries, keys]."""
    if how == "raised":
        return scores + seen.astype(np.float32)
    if how.startswith("by"):
        return np.where(seen, scores, scores - np.float32(how.split()[1]))
    return np.where(seen, scores, np.float32(0 if how == "zero" else -np.inf))


def trimmed(margin: int, trim: str) -> tuple[int, int]:
    """What a transposed convolution loses at its beginning and at its end."""
    if trim == "halves":
        return margin // 2, margin - margin // 2
    return (0 if trim in ("right", "none") else margin), (0 if trim in ("left", "none") else margin)


def _joined(residual: str, x: FloatArray, normed: FloatArray, y: FloatArray) -> FloatArray:
    """What a branch computed, and what it branched from."""
    if residual == "none":
        return np.asarray(y, np.float32)
    whole = (normed if residual == "normed" else x) + y
    return np.asarray(whole / np.float32(2) if residual == "mean" else whole, np.float32)


def merged(units: str, made: Sequence[FloatArray], x: FloatArray) -> FloatArray:
    """What residual units side by side make of x, of which each has that and its branch."""
    every = np.sum(made, axis=0, dtype=np.float32)
    if units == "averaged":
        return np.asarray(every / np.float32(len(made)))
    return np.asarray(every - np.float32(len(made) - 1) * x)


def padded(x: FloatArray, amount: int, kind: str, dilation: int = 1) -> FloatArray:
    """x: [.., time], and `amount` more, where `kind` of padding has them."""
    if amount == 0:
        return x
    left = padded_before(amount, kind, dilation)
    mode: Any = {"edge": "edge", "mirror": "reflect", "circle": "wrap"}.get(kind)
    if mode is None:
        whole = np.zeros((*x.shape[:-1], x.shape[-1] + amount), np.float32)
        whole[..., left : left + x.shape[-1]] = x
        return whole
    return np.pad(x, ((0, 0),) * (x.ndim - 1) + ((left, amount - left),), mode=mode)


def padded_before(amount: int, kind: str, dilation: int) -> int:
    """How many of the padding lie before."""
    return {"centred": amount // 2, "right": 0, "undilated": amount // dilation}.get(kind, amount)


def _lengthened(x: FloatArray, amount: int, kind: str, before: FloatArray | None, dilation: int = 1) -> FloatArray:
    """Padded, or behind the last of what comes before, the same for all."""
    whole = padded(x, amount, kind, dilation)
    if before is not None and amount > 0:
        known = before[:, -amount:]
        whole[..., amount - known.shape[1] : amount] = known.reshape(len(x), *(1,) * (x.ndim - 2), -1)
    return whole


def _taps_of(x: FloatArray, taps: int, dilation: int, first: int, last: int) -> FloatArray:
    """x: [channels, .., time] -> [channels, taps, .., last - first], of each tap what it is multiplied with. A view, so
    that all are copied in one go, which takes two thirds of what one by one takes."""
    if last + (taps - 1) * dilation > x.shape[-1]:
        raise ValueError(f"{taps} taps, {dilation} apart, of the outputs up to {last} see more than {x.shape[-1]}")
    x = np.ascontiguousarray(x)
    channel, *several, time = x.strides
    shape = (len(x), taps, *x.shape[1:-1], last - first)
    return np.ndarray(shape, np.float32, x, first * time, (channel, time * dilation, *several, time))


def _beside(values: FloatArray, x: FloatArray) -> FloatArray:
    """One of each channel, beside x, [channels, ..]."""
    return values.reshape(-1, *(1,) * (x.ndim - 1))


def _rotated(x: FloatArray, rotation: tuple[FloatArray, FloatArray], kind: str) -> FloatArray:
    """x: [.., time, heads, width]."""
    cos, sin = rotation[0][:, None], rotation[1][:, None]
    if kind.startswith("angles"):
        cos, sin = (_each_channel(part, kind) for part in (cos, sin))
        return np.asarray(x * cos + _turned(x, in_pairs=kind == "angles in halves") * sin, np.float32)
    out = x.copy()
    half = cos.shape[-1]
    one, two = (
        (np.s_[..., ::2], np.s_[..., 1::2]) if kind == "pairs" else (np.s_[..., :half], np.s_[..., half : 2 * half])
    )
    out[one] = x[one] * cos - x[two] * sin
    out[two] = x[two] * cos + x[one] * sin
    return out


def _each_channel(part: FloatArray, kind: str) -> FloatArray:
    return np.concatenate([part, part], axis=-1) if kind == "angles in halves" else np.repeat(part, 2, axis=-1)


def _turned(x: FloatArray, *, in_pairs: bool) -> FloatArray:
    """By a quarter: each pair of neighbours, or each channel of one half with that of the other."""
    one, two = (x[..., ::2], x[..., 1::2]) if in_pairs else np.split(x, 2, axis=-1)
    return np.stack([-two, one], axis=-1).reshape(x.shape) if in_pairs else np.concatenate([-two, one], axis=-1)


_SERIES = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)


def _erf(x: FloatArray) -> FloatArray:
    """Abramowitz and Stegun 7.1.26: within 6e-7 in float32, and no further dependency is needed. In few arrays: a fifth
    of what a trial took was this."""
    z = np.abs(x)
    t = np.float32(1) / (1 + np.float32(0.3275911) * z)
    series = np.float32(_SERIES[0]) * t
    for factor in _SERIES[1:]:
        series += np.float32(factor)
        series *= t
    np.square(z, out=z)
    np.negative(z, out=z)
    series *= np.exp(z, out=z)
    return np.asarray(np.copysign(1 - series, x), np.float32)


def _sigmoid(x: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-x)), np.float32)


def _peak_normalised(x: FloatArray) -> FloatArray:
    return np.asarray(x / (np.abs(x).max(initial=0) or 1), np.float32)


def _leaky(slope: float) -> Callable[[FloatArray], FloatArray]:
    return lambda x: np.where(x > 0, x, np.float32(slope) * x)


ACTIVATIONS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "erf": lambda x: np.asarray(x * 0.5 * (1 + _erf(x / np.float32(2**0.5))), np.float32),
    "tanh": lambda x: np.asarray(0.5 * x * (1 + np.tanh(0.7978845608 * (x + 0.044715 * x**3))), np.float32),
    "silu": lambda x: x * _sigmoid(x),
    "quick": lambda x: x * _sigmoid(np.float32(1.702) * x),
    "relu": lambda x: np.maximum(x, 0),
    **{f"leaky {slope}": _leaky(slope) for slope in (0.01, 0.1, 0.2)},
    "squared": lambda x: np.square(np.maximum(x, 0)),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "sigmoid": _sigmoid,
    "tanh itself": np.tanh,
    "none": lambda x: x,
}
"""Activations by name; "erf" is GELU itself, "tanh" and "quick" are its approximations."""

_TINY = np.float32(1e-9)


def _snake(x: FloatArray, frequency: FloatArray, size: npt.NDArray[Any]) -> FloatArray:
    """In one array: most of what a trial takes is this."""
    y = x * frequency
    np.sin(y, out=y)
    np.square(y, out=y)
    y *= size
    y += x
    return y


def _in_its_place(activation: Callable[[FloatArray], FloatArray]) -> Callable[..., npt.NDArray[Any]]:
    return lambda x, a, b: activation(x)


_SNAKES: dict[str, Callable[[FloatArray, FloatArray, FloatArray], npt.NDArray[Any]]] = {
    "exp": lambda x, a, b: _snake(x, np.exp(a), 1 / (np.exp(b) + _TINY)),
    "plain": lambda x, a, b: x + np.square(np.sin(x * a)) / (b + _TINY),
    "alpha": lambda x, a, b: x + np.square(np.sin(x * np.exp(a))) / (np.exp(a) + _TINY),
    "beta": lambda x, a, b: x + np.square(np.sin(x * np.exp(b))) / (np.exp(b) + _TINY),
    "alpha plain": lambda x, a, b: x + np.square(np.sin(x * a)) / (np.exp(b) + _TINY),
    "beta plain": lambda x, a, b: x + np.square(np.sin(x * np.exp(a))) / (b + _TINY),
    "times beta": lambda x, a, b: x + np.square(np.sin(x * np.exp(a))) * np.exp(b),
    "doubled": lambda x, a, b: x + 2 * np.square(np.sin(x * np.exp(a))) / (np.exp(b) + _TINY),
    "undivided": lambda x, a, b: x + np.square(np.sin(x * np.exp(a))),
    "unsquared": lambda x, a, b: x + np.sin(x * np.exp(a)) / (np.exp(b) + _TINY),
    "of squares": lambda x, a, b: x + np.sin(np.square(x * np.exp(a))) / (np.exp(b) + _TINY),
    "cosine": lambda x, a, b: x + np.square(np.cos(x * np.exp(a))) / (np.exp(b) + _TINY),
    "wave alone": lambda x, a, b: np.square(np.sin(x * np.exp(a))) / (np.exp(b) + _TINY),
    "minus": lambda x, a, b: x - np.square(np.sin(x * np.exp(a))) / (np.exp(b) + _TINY),
    "off": lambda x, a, b: x,
    **{name: _in_its_place(activation) for name, activation in ACTIVATIONS.items() if name != "none"},
}
SNAKES = tuple(_SNAKES)
"""Forms of Snake; "exp" is right."""


def snaked(form: str, x: FloatArray, alpha: FloatArray, beta: FloatArray) -> npt.NDArray[Any]:
    """One of `SNAKES` of x."""
    return _SNAKES[form](x, alpha, beta)


def _clipped(x: FloatArray, bound: float) -> FloatArray:
    return np.clip(x, -bound, bound)


_LIMITS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "clip": lambda x: np.clip(x, -1, 1),
    "tanh": np.tanh,
    "none": lambda x: x,
    "peak": _peak_normalised,
    "wrap": lambda x: np.asarray((x + 1) % 2 - 1, np.float32),
    **{f"clip at {bound:g}": partial(_clipped, bound=bound) for bound in (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)},
}
LIMITS = tuple(_LIMITS)
"""What is done to samples beyond full scale; "clip" is right."""


def limited(kind: str, x: FloatArray) -> FloatArray:
    """One of `LIMITS` of samples."""
    return _LIMITS[kind](x)

"""Every way to err in porting code2wav: what can be done to its weights, and every other value of every choice.

Generated from the tensors that are there and from `Choices`, for all modules of a class and for each alone.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml.doctor.joint_mistakes import joint_mistakes
from omniggml.doctor.tensor_mistakes import TensorMistake, class_of, common, module_of, tensor_mistakes
from omniggml.doctor.vocoder_mirror import ACTIVATIONS, LIMITS, RIGHT, SNAKES, Choices, Scoped, VocoderMirror
from omniggml.doctor.vocoder_words import said
from omniggml.doctor.words import listed

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]
Options = Mapping[str, Any]

_TRANSFORMER = "code2wav.pre_transformer"
_EMBEDDING = "code2wav.code_embedding"
_DECODER = "code2wav.decoder"
_LAYER = rf"{_TRANSFORMER}\.layers\.\d+"
_ATTENTION = rf"{_LAYER}\.self_attn"
_NORMS = rf"{_LAYER}\.(input|post_attention)_layernorm|{_TRANSFORMER}\.norm"
_CONVNEXT = r"code2wav\.upsample\.\d+\.1"
_LAYER_NORMS = rf"{_CONVNEXT}\.norm"
_PIECES = (4, 5, 8, 10, 12, 16, 20, 24, 25, 32, 50, 64)
"""Frames after which a port that decodes in pieces may count positions anew."""
_BEFORE = ("causal", "edge", "mirror")
_MOVING = ("padding", "trim", "dilated", "dilations", "units", "rates")
_NAMED = 2
"""Classes of modules that are named, and not called all."""
_LOWERED = (1, 2, 4, 8, 10)
"""By how much a finite mask may lower what isn't to be seen."""
_BYTE = 256
_PATH = r"code2wav\.[\w.*]+"
_ENDINGS = (".weight", ".bias", ".scale", ".alpha", ".beta", ".gamma")


def hangs_on_later(own: Choices) -> bool:
    """Whether samples hang on some that come later."""
    return own.padding not in _BEFORE or own.trim == "halves"


@dataclass(frozen=True)
class PortMistake:
    """`kind` and `where` name it for programs, `clause` for people. It is made of `choices` of modules, `weights` that
    are misread, and a change of the codes. `reach`: frames that it takes to show, at least."""

    kind: str
    where: str
    clause: str
    choices: Scoped = field(default_factory=lambda: Scoped(()))
    weights: tuple[TensorMistake, ...] = ()
    codes: Any = field(default=None, compare=False)
    reach: int = 1

    @property
    def cause(self) -> dict[str, str]:
        return {"kind": self.kind, "where": self.where}

    @property
    def is_of_one(self) -> bool:
        """Whether it is made in one of several modules alike."""
        return "*" not in self.where and re.search(r"\.\d+(\.|$)", self.where) is not None

    @cached_property
    def changed(self) -> frozenset[str]:
        """Tensors that are misread, and modules of which a choice is made."""
        return frozenset([path for path, _ in self.choices.changes] + [n for one in self.weights for n in one.changes])

    @cached_property
    def anywhere(self) -> str:
        """The clause without the modules: what is the same, made in others."""
        return re.sub(rf"( in)?( all of)? ?{_PATH}( and {_PATH})*|, everywhere", "", self.clause)

    @property
    def looks_ahead(self) -> bool:
        """Whether the first frames hang on all that follow, so that fewer can't show it."""
        far = (
            own.sees not in ("past", "its block")
            or own.masked != "nothing"
            or own.positions == "reversed"
            or own.norm == "over time"
            or own.heads == "unmoved"
            for own in self._own()
        )
        return any(far)

    @property
    def sees_later(self) -> bool:
        """Whether samples hang on some that come later, so that the end of fewer frames is another."""
        return self.sees_all or any(map(hangs_on_later, self._own()))

    @property
    def sees_all(self) -> bool:
        """Whether a convolution's samples hang on all, so that none are computed without the others."""
        return any(own.layer_norm == "over time" or own.upsampled == "in blocks" for own in self._own())

    @property
    def moves(self) -> bool:
        """Whether a stage sees more, less or other samples."""
        return any(_differs(own, _MOVING) for own in self._own())

    def _own(self) -> list[Choices]:
        return [own for _, own in self.choices.changes]

    def paths(self) -> list[str]:
        """Modules that compute something else."""
        changed = [path for path, _ in self.choices.changes]
        return changed + [module_of(name) for mistake in self.weights for name in mistake.changes]


def full_names(mirror: VocoderMirror) -> list[str]:
    """Tensors of code2wav by their names in the checkpoint."""
    names = [name for name in mirror.weights if name.startswith("code2wav.")]
    return [name if name.endswith(_ENDINGS) else f"{name}.weight" for name in names]


def port_mistakes(mirror: VocoderMirror) -> Iterator[PortMistake]:
    """All single mistakes: first those of choices, which few tensors crowd out."""
    names = full_names(mirror)
    yield from _choices(mirror, names)
    shapes = {name: mirror.weight(name).shape for name in names}
    of_tensors = tensor_mistakes(shapes, _heads(mirror))
    joint = joint_mistakes(shapes, _heads(mirror), _transposed(mirror))
    # Neighbours in each other's place are tensors' mistakes and modules', too.
    for mistake in {mistake.clause: mistake for mistake in (*of_tensors, *joint)}.values():
        yield PortMistake(mistake.kind, mistake.where, mistake.clause, weights=(mistake,))


def _heads(mirror: VocoderMirror) -> dict[str, int]:
    counts = ("num_attention_heads", "num_key_value_heads", "num_key_value_heads")
    return {f"self_attn.{p}_proj.weight": mirror.geometry[n] for p, n in zip("qkv", counts, strict=True)}


# --- choices ----------------------------------------------------------------------------------------------------------


def _choices(mirror: VocoderMirror, names: list[str]) -> Iterator[PortMistake]:
    yield from _lookups(mirror)
    geometry = mirror.geometry
    modules = sorted({module_of(name) for name in names})
    modules += sorted({above for path in modules for above in _above(path)} - set(modules))
    for pattern, kind, options in _table(mirror):
        paths = [path for path in modules if re.fullmatch(pattern, path)]
        for clause, choices in options:
            yield from _of_modules(paths, kind, clause, choices)
    rates = tuple(geometry["upsample_rates"])
    for order in sorted({*permutations(rates)} - {rates}):
        yield _choice("constant", _DECODER, [_DECODER], f"the rates are {list(order)}", Choices(rates=order))
    for limit in LIMITS[1:]:
        clause = said("limit", limit) or limit
        yield _choice("limit", "code2wav", ["code2wav"], clause, Choices(limit=limit))
    for kind, layers, clause in _layer_lists(geometry["num_hidden_layers"]):
        yield _choice(kind, _TRANSFORMER, [_TRANSFORMER], clause, Choices(layers=layers))


def number_choices(mirror: VocoderMirror) -> Iterator[tuple[float, Callable[[float], PortMistake]]]:
    """Constants of modules that may be any number: the right one, and a port that has another."""
    modules = sorted({module_of(name) for name in full_names(mirror)})
    modules += sorted({above for path in modules for above in _above(path)} - set(modules))
    geometry = mirror.geometry
    for pattern, field_name, words, right in (
        (_ATTENTION, "theta", "theta is", geometry["rope_theta"]),
        (_NORMS, "eps", "the norm's epsilon is", geometry["rms_norm_eps"]),
        (_LAYER_NORMS, "layer_eps", "the norm's epsilon is", RIGHT.layer_eps),
    ):
        for where, place, own in _scopes([path for path in modules if re.fullmatch(pattern, path)]):
            yield right, partial(_with_number, field_name, words, where, place, own)


def _with_number(name: str, words: str, where: str, place: str, own: list[str], value: float) -> PortMistake:
    shown = float(f"{value:.4g}")
    return _choice("constant", where, own, f"{words} {shown:g}{place}", Choices(**{name: value}))  # type: ignore[arg-type]


def _scopes(paths: list[str]) -> Iterator[tuple[str, str, list[str]]]:
    """A name of, words for, and modules: all that belong to one class, and each alone; then all of several classes, and
    these without what is alone of its class, as the last norm is."""
    classes: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        classes[class_of(path)].append(path)
    for pattern, own in classes.items():
        if len(own) > 1:
            yield pattern, f" in all of {pattern}", own
        yield from ((path, f" in {path}", [path]) for path in own)
    many = [pattern for pattern, own in classes.items() if len(own) > 1]
    for some in dict.fromkeys((tuple(classes), tuple(many))):
        if len(some) > 1:
            words = ", everywhere" if some == tuple(classes) and len(some) > _NAMED else f" in all of {listed(some)}"
            own = [path for pattern in some for path in classes[pattern]]
            yield common(own), words, own


def _above(path: str) -> Iterator[str]:
    """Modules that hold this one."""
    while path := path.rpartition(".")[0]:
        yield path


def _of_modules(paths: list[str], kind: str, clause: str, choices: Choices) -> Iterator[PortMistake]:
    for where, place, own in _scopes(paths):
        yield _choice(kind, where, own, f"{clause}{place}", choices)


def _choice(kind: str, where: str, paths: list[str], clause: str, choices: Choices) -> PortMistake:
    reach = 1 if not _sees_far(choices) else choices.window + 1 if choices.window else 2
    return PortMistake(kind, where, clause, Scoped(tuple((path, choices) for path in paths)), reach=reach)


def _sees_far(choices: Choices) -> bool:
    return _differs(
        choices,
        ("window", "sees", "masked", "rope", "rotated", "late_keys", "positions", "scale", "theta", "head_width"),
    )


def _differs(choices: Choices, names: Sequence[str]) -> bool:
    """Whether one of these is another than the right one."""
    return any(getattr(choices, name) != getattr(RIGHT, name) for name in names)


def _layer_lists(n: int) -> Iterator[tuple[str, tuple[int, ...], str]]:
    for left_out in range(n):
        others = tuple(i for i in range(n) if i != left_out)
        yield "missing", others, f"layer {left_out} of the transformer is left out"
    if n > 1:
        yield "order", tuple(reversed(range(n))), "the transformer's layers are in reverse order"


def _table(mirror: VocoderMirror) -> Iterator[tuple[str, str, list[tuple[str, Choices]]]]:
    """Pattern of paths, kind, wrong choices with their clauses."""
    geometry = mirror.geometry
    layer, norms, convnext, attention = _LAYER, _NORMS, _CONVNEXT, _ATTENTION
    unit, block = rf"{_DECODER}\.\d+\.block\.[234]", rf"{_DECODER}\.\d+"
    conv = rf"{_DECODER}\.(0|{len(geometry['upsample_rates']) + 2})|{unit}\.conv1|{convnext}\.dwconv"
    own = {"eps": geometry["rms_norm_eps"], "theta": geometry["rope_theta"], "window": geometry["sliding_window"]}
    yield norms, "constant", _values("eps", "the norm's epsilon is", (0.1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8), own)
    yield (
        norms,
        "formula",
        _values("norm", "the RMS norm is replaced by", ("layer", "l2", "bare", "eps outside", "over time", "off"), own),
    )
    yield (
        _LAYER_NORMS,
        "constant",
        _values("layer_eps", "the norm's epsilon is", (0.1, 1e-2, 1e-3, 1e-4, 1e-5), own),
    )
    yield (
        _LAYER_NORMS,
        "formula",
        _values("layer_norm", "the layer norm is replaced by", ("rms", "l2", "eps outside", "over time", "off"), own),
    )
    anew = tuple(f"anew every {frames}" for frames in _PIECES)
    yield attention, "constant", _values("theta", "theta is", (1e2, 1e3, 1e4, 1e5, 5e5, 1e6), own)
    window = own["window"]
    windows = tuple(
        sorted({1, 2, 3, window // 4, window // 3, window // 2, window - 1, window + 1, 2 * window} - {0, window})
    )
    yield (
        attention,
        "constant",
        [*_values("window", "the window is", windows, own), ("there is no window", Choices(window=0))],
    )
    yield attention, "constant", _values("scale", "scores are divided by", ("width", "one", "hidden"), own)
    yield (
        attention,
        "positions",
        _values(
            "rope",
            "rotary positions are",
            ("off", "pairs", "backwards", "narrow", "angles in halves", "angles in pairs"),
            own,
        ),
    )
    yield (
        attention,
        "positions",
        [
            ("keys are not rotated", Choices(rotated="q")),
            ("queries are not rotated", Choices(rotated="k")),
            ("values are rotated as well", Choices(rotated="qkv")),
            ("queries and values are rotated, not keys", Choices(rotated="qv")),
            ("keys and values are rotated, not queries", Choices(rotated="kv")),
            ("keys are turned as if one position later", Choices(late_keys=1)),
            ("keys are turned as if one position earlier", Choices(late_keys=-1)),
        ],
    )
    yield (
        attention,
        "positions",
        _values("positions", "positions are", ("same", "reversed", "doubled", "halved", *anew), own),
    )
    yield (
        attention,
        "mask",
        [
            *_values("sees", "attention sees", ("all", "around", "later", "its block"), own),
            ("masked scores are zero", Choices(masked="zero")),
            ("the mask of booleans is added to the scores", Choices(masked="raised")),
            *((f"masked scores are only {n} lower", Choices(masked=f"by {n} less")) for n in _LOWERED),
        ],
    )
    first = Choices(scale_first=True)
    yield attention, "order", [("the layer scale comes before the output projection", first)]
    unmoved = ("heads are joined without moving time before them: a transposition is missing", Choices(heads="unmoved"))
    yield attention, "heads", [("heads are joined dimension by dimension", Choices(heads="interleaved")), unmoved]
    widths = [
        ("there are half as many heads, each twice as wide", Choices(head_width="doubled")),
        ("there are twice as many heads, each half as wide", Choices(head_width="halved")),
    ]
    yield attention, "heads", widths
    if geometry["num_attention_heads"] != geometry["num_key_value_heads"]:
        yield attention, "heads", [("key heads are tiled, not repeated", Choices(key_heads="tiled"))]
    residuals = [
        ("the residual is missing", Choices(residual="none")),
        ("the residual is taken after the norm", Choices(residual="normed")),
    ]
    mean = [("residual and branch are averaged", Choices(residual="mean"))]
    scaled = [("the residual is scaled with its branch", Choices(residual="scaled"))]
    bent = [("the residual is taken after the first Snake", Choices(residual="normed"))]
    yield rf"{attention}|{layer}\.mlp", "residual", [*residuals, *scaled]
    others = tuple(name for name in ACTIVATIONS if name != "silu")
    yield rf"{layer}\.mlp", "activation", _values("silu", "SiLU is replaced by", others, own)
    yield rf"{layer}\.mlp", "formula", [("the gate is added, not multiplied", Choices(gate="sum"))]
    yield layer, "order", [("the MLP comes before attention", Choices(order="mlp first"))]
    yield layer, "residual", [("attention and MLP run in parallel", Choices(order="parallel"))]
    others = tuple(name for name in ACTIVATIONS if name != "erf")
    yield convnext, "activation", _values("gelu", "GELU is replaced by", others, own)
    yield convnext, "residual", [residuals[0], *mean, *scaled]
    yield conv, "padding", _values("padding", "padding is", ("centred", "right", "edge", "mirror", "circle"), own)
    undilated = Choices(padding="undilated")
    yield rf"{unit}\.conv1", "padding", [("padding before is as long as without dilation, the rest behind", undilated)]
    yield unit, "residual", [residuals[0], *mean, *bent]
    yield unit, "missing", [("the residual unit is left out", Choices(used=False))]
    dilations = (
        (1, 1, 1),
        (9, 3, 1),
        (1, 9, 3),
        (3, 1, 9),
        (1, 3, 3),
        (1, 2, 4),
        (1, 3, 5),
        (1, 2, 3),
        (3, 9, 27),
        (9, 1, 3),
        (3, 9, 1),
    )
    blocks = rf"{_DECODER}\.[1-{len(geometry['upsample_rates'])}]"
    yield blocks, "constant", _values("dilations", "dilations are", dilations, own)
    yield blocks, "order", [("Snake follows the transposed convolution", Choices(snake_after=True))]
    yield (
        blocks,
        "order",
        [
            ("the residual units run side by side and are averaged", Choices(units="averaged")),
            ("the residual units run side by side and their branches are added", Choices(units="beside")),
        ],
    )
    yield (
        _transposed(mirror),
        "trim",
        _values("trim", "the sides trimmed are", ("right", "left", "none", "halves"), own),
    )
    overwritten = ("where what frames make overlaps the later one's stands alone", Choices(upsampled="overwritten"))
    yield rf"{_DECODER}\.\d+\.block\.1", "formula", [overwritten]
    upsampled = [
        ("each frame is repeated, not convolved", Choices(upsampled="repeated")),
        ("what each tap makes comes one behind the other, not in turn", Choices(upsampled="in blocks")),
    ]
    yield r"code2wav\.upsample\.\d+\.0", "formula", upsampled
    snakes = tuple(name for name in SNAKES if name != "exp")
    act = rf"{unit}\.act1|{unit}\.act2|{block}\.block\.0|{_DECODER}\.{len(geometry['upsample_rates']) + 1}"
    yield act, "formula", _values("snake", "Snake's form is", snakes, own)


def _transposed(mirror: VocoderMirror) -> str:
    """Pattern of the paths of transposed convolutions."""
    return rf"code2wav\.upsample\.\d+\.0|{_DECODER}\.\d+\.block\.1"


def _values(name: str, words: str, values: tuple[Any, ...], own: Options) -> list[tuple[str, Choices]]:
    """Those that aren't the model's own."""
    shown = (
        list(value) if isinstance(value, tuple) else f"{value:g}" if isinstance(value, float) else value
        for value in values
    )
    return [
        (said(name, value) or f"{words} {word}", Choices(**{name: value}))
        for value, word in zip(values, shown, strict=True)
        if not (isinstance(value, float) and np.isclose(value, own.get(name, np.nan), rtol=1e-4))
    ]


# --- the code table ---------------------------------------------------------------------------------------------------


def _lookups(mirror: VocoderMirror) -> Iterator[PortMistake]:
    size, groups = mirror.geometry["codebook_size"], mirror.geometry["num_quantizers"]
    own = partial(_choice, where=_EMBEDDING, paths=[_EMBEDDING])
    for pool in ("sum", "sqrt", "fewer", "first apart"):
        yield own("reduction", clause=said("pool", pool) or pool, choices=Choices(pool=pool))
    for group in range(groups):
        yield own("lookup", clause=f"group {group} is not added", choices=Choices(not_added=(group,)))
    for n in range(1, groups - 1):
        yield own("lookup", clause=f"groups from {n} on are not added", choices=Choices(not_added=(*range(n, groups),)))
        clause = f"only the last {n} groups are added"
        yield own("lookup", clause=clause, choices=Choices(not_added=(*range(groups - n),)))
    for stride in (0, size // 2, size - 1, size + 1, 2 * size):
        yield own("lookup", clause=f"a group's offset is {stride} rows", choices=Choices(stride=stride))
    for by in (1, -1, size // 2):
        yield own("lookup", clause=f"codes are {by:+d}", choices=Choices(first=by))
    for by in (1, -1):
        yield own("lookup", clause=f"offsets are those of group {by:+d}", choices=Choices(group=by))
    clause = "groups 0 and 1 share the first table, and the others have that of the group before"
    yield own("lookup", clause=clause, choices=Choices(group=-1, lowest=0))
    if size > _BYTE // 2:
        yield PortMistake("lookup", _EMBEDDING, "codes are read as bytes with a sign", codes=_as_signed_bytes)
    if size > _BYTE:
        yield PortMistake("lookup", _EMBEDDING, "codes are cut to a byte", codes=lambda c: c % _BYTE)
    for clause, change in _arrangements(groups):
        yield PortMistake("lookup", _EMBEDDING, clause, codes=change)


def _arrangements(groups: int) -> Iterator[tuple[str, Any]]:
    """Groups in other orders, or fewer of them."""
    yield "the groups are taken in reverse", lambda c: c[::-1]
    for by in range(1, groups):
        yield f"the groups are rotated by {by}", partial(np.roll, shift=by, axis=0)
    if groups % 2 == 0:
        yield "even groups come before odd ones", lambda c: np.concatenate([c[::2], c[1::2]])
        yield "the halves of the groups alternate", lambda c: np.stack(np.split(c, 2), axis=1).reshape(c.shape)
        yield "neighbouring groups are exchanged", lambda c: c.reshape(groups // 2, 2, -1)[:, ::-1].reshape(c.shape)
    for one in range(groups - 1):
        yield f"groups {one} and {one + 1} are exchanged", partial(_exchanged, one=one, other=one + 1)
    if groups > 2:
        yield "the first group and the last are exchanged", partial(_exchanged, one=0, other=groups - 1)
    for n in range(1, groups):
        yield f"only the first {n} groups are used", partial(_first, n=n)
        yield f"only the last {n} groups are used, as if they were the first", partial(_last, n=n)
        yield f"groups from {n} on are taken as code 0", partial(_zeroed, n=n)
    yield "the first group is taken as code 0", lambda c: np.concatenate([0 * c[:1], c[1:]])
    yield "all groups have the first one's codes", lambda c: np.repeat(c[:1], len(c), axis=0)
    yield "groups are delayed, each by one frame more", _delayed
    yield "a delay of the groups is undone that they don't have: each is taken one frame sooner", _hastened
    yield "frames and groups are mixed up", lambda c: np.ascontiguousarray(c.T).reshape(c.shape)


def _as_signed_bytes(codes: IntArray) -> IntArray:
    return (codes + _BYTE // 2) % _BYTE - _BYTE // 2


def _exchanged(codes: IntArray, one: int, other: int) -> IntArray:
    order = np.arange(len(codes))
    order[[one, other]] = other, one
    return codes[order]


def _first(codes: IntArray, n: int) -> IntArray:
    return codes[:n]


def _last(codes: IntArray, n: int) -> IntArray:
    return codes[len(codes) - n :]


def _zeroed(codes: IntArray, n: int) -> IntArray:
    return np.concatenate([codes[:n], 0 * codes[n:]])


def _hastened(codes: IntArray) -> IntArray:
    frames = np.arange(codes.shape[1])
    return np.stack([row[np.minimum(frames + group, frames[-1])] for group, row in enumerate(codes)])


def _delayed(codes: IntArray) -> IntArray:
    return np.stack([np.roll(row, group) for group, row in enumerate(codes)])

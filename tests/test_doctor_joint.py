"""Mistakes that a port makes in many tensors alike, in modules far apart, and in numbers that no list holds."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from benchmarks.doctor.unseen.port_vocoder import VocoderPort
from threadpoolctl import threadpool_limits

from omniggml.comparison.agreement import match
from omniggml.doctor import port_search
from omniggml.doctor.joint_mistakes import joint_mistakes
from omniggml.doctor.port_search import Explanation, PortSearch
from omniggml.doctor.port_trials import telling_blocks
from omniggml.doctor.vocoder_grammar import full_names, port_mistakes
from omniggml.doctor.vocoder_mirror import Choices, Scoped, VocoderMirror
from omniggml.doctor.vocoder_numbers import but_for_numbers
from omniggml.loading import BUILT_IN
from shown_findings import choices
from voice_vocoder import voice_codes, voice_mirror

LAYERS = "code2wav.pre_transformer.layers"
DECODER = "code2wav.decoder"
OTHERS = 40
"""Mistakes that are tried beside those of many tensors: all take minutes."""
RIGHT_LEAVES = 1e-9

Array = npt.NDArray[np.float32]
Weights = dict[str, Array]


@pytest.fixture(scope="module")
def mirror() -> VocoderMirror:
    return voice_mirror()


@pytest.fixture(scope="module")
def codes() -> Any:
    return voice_codes()


@pytest.fixture(scope="module")
def weights(mirror: VocoderMirror) -> Weights:
    return {name: mirror.weight(name) for name in full_names(mirror)}


def changed(weights: Weights, ending: str, change: Callable[[Array], Array]) -> Weights:
    return {name: np.ascontiguousarray(change(w)) for name, w in weights.items() if name.endswith(ending)}


def as_llama_cpp(rows: Array) -> Array:
    """As it permutes queries and keys for its own rotation, in 4 heads."""
    heads = rows.reshape(4, 2, -1, rows.shape[1])
    return np.ascontiguousarray(heads.swapaxes(1, 2)).reshape(rows.shape)


def dimension_by_dimension(rows: Array) -> Array:
    return np.ascontiguousarray(rows.reshape(4, -1, rows.shape[1]).swapaxes(0, 1)).reshape(rows.shape)


def queries_and_keys(weights: Weights, layer: str = "") -> Weights:
    names = [name for name in weights if name.endswith(("q_proj.weight", "k_proj.weight")) and layer in name]
    return {name: as_llama_cpp(weights[name]) for name in names}


def all_three(weights: Weights) -> Weights:
    names = [name for name in weights if name.endswith(tuple(f"self_attn.{p}_proj.weight" for p in "qkv"))]
    return {name: dimension_by_dimension(weights[name]) for name in names}


def taken(weights: Weights, pairs: dict[str, str]) -> Weights:
    """Each module from another."""
    found = {}
    for to, source in pairs.items():
        found |= {name: weights[source + name.removeprefix(to)] for name in weights if name.startswith(f"{to}.")}
    return found


def rolled(weights: Weights, by: int, *, transposed: bool) -> Weights:
    apart = [name for name in weights if ".block.1." in name or name in UPSAMPLING]
    kernels = [name for name in weights if weights[name].ndim == 3 and (name in apart) == transposed]
    return {name: np.roll(weights[name], by, axis=-1) for name in kernels}


def fused(weights: Weights) -> Weights:
    """In 4 heads."""
    found = {}
    for layer in range(3):
        names = [f"{LAYERS}.{layer}.self_attn.{part}_proj.weight" for part in "qkv"]
        heads = np.split(np.concatenate([weights[name] for name in names]), 4)
        found |= {name: np.concatenate([np.split(h, 3)[i] for h in heads]) for i, name in enumerate(names)}
    return found


UPSAMPLING = [f"code2wav.upsample.{i}.0.conv.weight" for i in range(2)]
UNITS = {f"{DECODER}.1.block.2": f"{DECODER}.1.block.4", f"{DECODER}.1.block.4": f"{DECODER}.1.block.2"}
ALL_UNITS = {
    to.replace(".1.", f".{n}.", 1): by.replace(".1.", f".{n}.", 1) for n in range(1, 5) for to, by in UNITS.items()
}

PLANTED: dict[str, tuple[Callable[[Weights], Weights], str]] = {
    "queries and keys as llama.cpp has them": (
        queries_and_keys,
        f"each of q_proj and k_proj of {LAYERS}.*.self_attn has the halves of its heads stored as pairs",
    ),
    "the same in one layer": (
        lambda w: queries_and_keys(w, "layers.1."),
        f"each of q_proj and k_proj of {LAYERS}.1.self_attn has the halves of its heads stored as pairs",
    ),
    "all three dimension by dimension": (
        all_three,
        f"each of q_proj and k_proj and v_proj of {LAYERS}.*.self_attn has its heads stored dimension by dimension",
    ),
    "units far apart": (
        lambda w: taken(w, UNITS),
        f"{DECODER}.1.block.2 and {DECODER}.1.block.4 are exchanged",
    ),
    "units far apart in every block": (
        lambda w: taken(w, ALL_UNITS),
        f"{DECODER}.*.block.2 and {DECODER}.*.block.4 are exchanged",
    ),
    "a convolution of another unit": (
        lambda w: taken(w, {f"{DECODER}.2.block.4.conv1": f"{DECODER}.2.block.2.conv1"}),
        f"{DECODER}.2.block.2.conv1 stands in for {DECODER}.2.block.4.conv1",
    ),
    "one layer's MLP in all": (
        lambda w: taken(w, {f"{LAYERS}.{i}.mlp": f"{LAYERS}.0.mlp" for i in (1, 2)}),
        f"each of {LAYERS}.*.mlp is taken from the first",
    ),
    "layers from the second on": (
        lambda w: taken(w, {f"{LAYERS}.{i}": f"{LAYERS}.{(i + 1) % 3}" for i in range(3)}),
        f"each of {LAYERS}.* is taken from the next",
    ),
    "kernels of all convolutions one on": (
        lambda w: rolled(w, 1, transposed=False),
        "the weight of every convolution has its kernel read one place on",
    ),
    "kernels of all transposed ones one back": (
        lambda w: rolled(w, -1, transposed=True),
        "the weight of every transposed convolution has its kernel read one place back",
    ),
    "one kernel one on": (
        lambda w: {(name := f"{DECODER}.0.conv.weight"): np.roll(w[name], 1, axis=-1)},
        f"{DECODER}.0.conv.weight has its kernel read one place on",
    ),
    "one Snake for both of a unit": (
        lambda w: {name: w[name.replace("act2", "act1")] for name in w if ".act2." in name},
        f"{DECODER}.*.block.*.act1 stands in for act2",
    ),
    "one norm for both of a layer": (
        lambda w: {
            name: w[name.replace("post_attention", "input")] for name in w if "post_attention_layernorm" in name
        },
        f"{LAYERS}.*.input_layernorm.weight stands in for post_attention_layernorm.weight",
    ),
    "one matrix cut head by head": (
        fused,
        f"queries, keys and values of {LAYERS}.*.self_attn are cut head by head "
        "from a matrix that holds them one behind the other",
    ),
    "nearest neighbours before a kernel": (
        lambda w: {name: w[name][:, :, [0, 0]] for name in UPSAMPLING},
        "code2wav.upsample.*.*.conv.weight has its first tap in both places",
    ),
    "norms that add one": (
        lambda w: changed({n: v for n, v in w.items() if n.startswith(LAYERS)}, "norm.weight", lambda v: v + 1)
        | {(name := "code2wav.pre_transformer.norm.weight"): w[name] + 1},
        "the weight of every RMS norm has one added to it",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PLANTED)
def test_it_is_found(
    case: str, mirror: VocoderMirror, codes: Any, weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit, clause = PLANTED[case]
    every = {mistake.clause: mistake for mistake in port_mistakes(mirror)}
    assert clause in every, "the grammar lacks it"
    own = [one for one in every.values() if one.kind == every[clause].kind and "*" in one.where]
    tried = [every[clause], *random.Random(case).sample(own, OTHERS)]
    found = searched(mirror, codes, mirror.with_weights(edit(weights))(codes), monkeypatch, tried)
    assert found and found[0].mistakes[0].clause == clause and found[0].residual < 1e-9


def searched(
    mirror: VocoderMirror, codes: Any, theirs: Array, monkeypatch: pytest.MonkeyPatch, tried: list[Any]
) -> list[Explanation]:
    monkeypatch.setattr(port_search, "port_mistakes", lambda _: iter(tried))
    with threadpool_limits(1):
        return PortSearch(mirror, codes, theirs.astype(np.float64), 1e-12, lambda words: None).run()


def heads_in_another_order(weights: Weights) -> Weights:
    """Of queries, keys, values, and of what joins them."""
    found = {}
    for name, values in weights.items():
        if name.endswith(tuple(f"self_attn.{p}_proj.weight" for p in "qkv")):
            found[name] = values.reshape(4, -1, values.shape[1])[::-1].reshape(values.shape)
        if name.endswith("self_attn.o_proj.weight"):
            found[name] = values.reshape(len(values), 4, -1)[:, ::-1].reshape(values.shape)
    return found


def channels_in_another_order(weights: Weights) -> Weights:
    """Inside a residual unit, where none but it sees them."""
    unit = f"{DECODER}.1.block.2"
    found = {
        name: weights[name][::-1]
        for name in weights
        if name.startswith((f"{unit}.conv1.", f"{unit}.act2.")) and weights[name].ndim
    }
    return found | {(name := f"{unit}.conv2.conv.weight"): weights[name][:, ::-1]}


def factors_that_cancel(weights: Weights) -> Weights:
    return {
        name: values * np.float32(2 if "q_proj" in name else 0.5)
        for name, values in weights.items()
        if "q_proj" in name or "k_proj" in name
    }


@pytest.mark.parametrize("edit", [heads_in_another_order, channels_in_another_order, factors_that_cancel])
def test_a_sound_neighbour_needs_no_explanation(
    mirror: VocoderMirror, codes: Any, weights: Weights, edit: Callable[[Weights], Weights]
) -> None:
    """Packed otherwise, and consistently so."""
    made = {name: np.ascontiguousarray(values) for name, values in edit(weights).items()}
    assert made and not all(np.array_equal(values, weights[name]) for name, values in made.items())
    theirs = mirror.with_weights(made)(codes)
    assert match(theirs.astype(np.float64), mirror(codes), 0).residual < 1e-9


# --- choices ---------------------------------------------------------------------------------------------------------

ATTENTION = f"{LAYERS}.*.self_attn"
UNIT, CONVNEXT = f"{DECODER}.*.block.*", "code2wav.upsample.*.1"
SNAKES = (f"{UNIT}.act1", f"{UNIT}.act2", f"{DECODER}.*.block.0", f"{DECODER}.5")
LAYER_NORMS = (f"{LAYERS}.*.input_layernorm", f"{LAYERS}.*.post_attention_layernorm")


def chosen(choice: str, value: Any, *paths: str) -> dict[str, Any]:
    return {f"{path}:{choice}": value for path in paths}


CHOSEN: dict[str, tuple[dict[str, Any], str]] = {
    "every Snake": (chosen("form", "beta as factor", *SNAKES), "Snake multiplies by beta, not divides, everywhere"),
    "every Snake but the last": (
        chosen("form", "sine not squared", *SNAKES[:3]),
        f"Snake's sine isn't squared in all of {UNIT}, {UNIT}.act1 and {UNIT}.act2",
    ),
    "every norm of the layers": (
        chosen("form", "layer", *LAYER_NORMS),
        f"the RMS norm is replaced by a layer norm in all of {LAYER_NORMS[0]} and {LAYER_NORMS[1]}",
    ),
    "keys one position on": (
        chosen("keys late by", 1, ATTENTION),
        f"keys are turned as if one position later in all of {ATTENTION}",
    ),
    "scaled before the output projection": (
        chosen("scaled", "before", ATTENTION),
        f"the layer scale comes before the output projection in all of {ATTENTION}",
    ),
    "the first group apart": (
        chosen("divisor", "first apart", "code2wav.code_embedding"),
        "the first group's embedding is added to the mean of the others",
    ),
    "values rotated": (chosen("rotated", "qkv", ATTENTION), f"values are rotated as well in all of {ATTENTION}"),
    "a mask of booleans": (
        chosen("mask", "booleans added", ATTENTION),
        f"the mask of booleans is added to the scores in all of {ATTENTION}",
    ),
    "a mask of a few": (chosen("mask", "minus 4", ATTENTION), f"masked scores are only 4 lower in all of {ATTENTION}"),
    "the residual behind Snake": (
        chosen("residual", "bent", f"{UNIT}"),
        f"the residual is taken after the first Snake in all of {UNIT}",
    ),
    "queries and values rotated": (
        chosen("rotated", "qv", f"{LAYERS}.*.self_attn"),
        f"queries and values are rotated, not keys in all of {LAYERS}.*.self_attn",
    ),
    "all that comes later": (
        chosen("sees", "all", f"{LAYERS}.*.self_attn"),
        f"attention sees the window and all later frames in all of {LAYERS}.*.self_attn",
    ),
    "blocks of a window": (
        chosen("sees", "own block", f"{LAYERS}.*.self_attn"),
        f"attention sees the block of the window that a frame is in alone, up to itself in all of {LAYERS}.*.self_attn",
    ),
    "the sine of a square": (
        chosen("form", "sine of the square", f"{DECODER}.2.block.3.act1"),
        f"Snake takes the sine of the square, not the square of the sine in {DECODER}.2.block.3.act1",
    ),
    "samples tap by tap": (
        chosen("upsampled", "tap by tap", "code2wav.upsample.*.0"),
        "what each tap makes comes one behind the other, not in turn in all of code2wav.upsample.*.*",
    ),
    "a layer norm over time": (
        chosen("form", "layer over time", f"{CONVNEXT}.norm"),
        "the layer norm is replaced by one over time in all of code2wav.upsample.*.*.norm",
    ),
    "heads whose time was not moved back": (
        chosen("heads joined", "not moved back", f"{LAYERS}.*.self_attn"),
        "heads are joined without moving time before them: a transposition is missing in all of "
        f"{LAYERS}.*.self_attn",
    ),
    "a wave of twice the size": (
        chosen("form", "twice", f"{DECODER}.3.block.0"),
        f"Snake adds twice its wave in {DECODER}.3.block.0",
    ),
    "dilated, but padded as if it were not": (
        chosen("padding", "as without dilation", f"{UNIT}.conv1"),
        f"padding before is as long as without dilation, the rest behind in all of {UNIT}.conv1",
    ),
    # Whose last kernel of 6 is shorter than its rate.
    "rates in another order": (chosen("rates", [5, 4, 3, 8], DECODER), "the rates are [5, 4, 3, 8]"),
    "units side by side, averaged": (
        chosen("units", "mean", f"{DECODER}.*"),
        f"the residual units run side by side and are averaged in all of {DECODER}.*",
    ),
    "units side by side in one block": (
        chosen("units", "branches", f"{DECODER}.3"),
        f"the residual units run side by side and their branches are added in {DECODER}.3",
    ),
    "gamma over both": (
        chosen("residual", "scaled", CONVNEXT),
        "the residual is scaled with its branch in all of code2wav.upsample.*.*",
    ),
    "a layer's scale over both": (
        chosen("residual", "scaled", f"{LAYERS}.*.mlp"),
        f"the residual is scaled with its branch in all of {LAYERS}.*.mlp",
    ),
    "nearest neighbours": (
        chosen("upsampled", "by copies", "code2wav.upsample.*.0"),
        "each frame is repeated, not convolved in all of code2wav.upsample.*.*",
    ),
    "half as many heads": (
        chosen("head width", 2, f"{LAYERS}.*.self_attn"),
        f"there are half as many heads, each twice as wide in all of {LAYERS}.*.self_attn",
    ),
    "twice as many heads": (
        chosen("head width", 0.5, f"{LAYERS}.1.self_attn"),
        f"there are twice as many heads, each half as wide in {LAYERS}.1.self_attn",
    ),
    "nothing is added where frames overlap": (
        chosen("upsampled", "later frames over earlier", f"{DECODER}.*.block.1"),
        f"where what frames make overlaps the later one's stands alone in all of {DECODER}.*.block.*",
    ),
    "one table for two groups": (
        {"code2wav.code_embedding:group": -1, "code2wav.code_embedding:lowest group": 0},
        "groups 0 and 1 share the first table, and the others have that of the group before",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CHOSEN)
def test_a_choice_is_found(case: str, mirror: VocoderMirror, codes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made by a port that knows nothing of the doctor."""
    made, clause = CHOSEN[case]
    every = {mistake.clause: mistake for mistake in port_mistakes(mirror)}
    assert clause in every, "the grammar lacks it"
    port = VocoderPort.read(BUILT_IN)
    assert match(port.decode(codes).astype(np.float64), mirror(codes), 0).residual < RIGHT_LEAVES
    theirs = port.decode(codes, choices("", **made))
    tried = [every[clause], *random.Random(case).sample([*every.values()], OTHERS)]
    found = searched(mirror, codes, theirs, monkeypatch, tried)
    assert found and found[0].mistakes[0].clause == clause and found[0].residual < RIGHT_LEAVES


def test_a_delay_that_is_undone_in_vain(mirror: VocoderMirror, codes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    last = codes.shape[1] - 1
    sooner = np.stack([[row[min(at + group, last)] for at in range(len(row))] for group, row in enumerate(codes)])
    tried = [one for one in port_mistakes(mirror) if one.codes is not None]
    found = searched(mirror, codes, mirror(sooner), monkeypatch, tried)
    assert found and "undone" in found[0].mistakes[0].clause and found[0].residual < 1e-9


# --- numbers ----------------------------------------------------------------------------------------------------------

NUMBERS: dict[str, tuple[Choices | float, str, str]] = {
    "theta": (Choices(theta=5000.0), ATTENTION, f"theta is 5000 in all of {ATTENTION}"),
    "theta a little": (Choices(theta=9000.0), ATTENTION, f"theta is 9000 in all of {ATTENTION}"),
    "theta in one layer": (Choices(theta=30000.0), f"{LAYERS}.1.self_attn", f"theta is 30000 in {LAYERS}.1.self_attn"),
    "epsilon": (
        Choices(eps=0.05),
        f"{LAYERS}.*.input_layernorm",
        f"the norm's epsilon is 0.05 in all of {LAYERS}.*.input_layernorm",
    ),
    "a factor": (1.1, f"{DECODER}.1.block.1.conv.weight", f"{DECODER}.1.block.1.conv.weight is multiplied by 1.1"),
}


@pytest.mark.parametrize("case", NUMBERS)
def test_a_number_that_no_list_holds(
    case: str, mirror: VocoderMirror, codes: Any, weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong, where, clause = NUMBERS[case]
    if isinstance(wrong, Choices):
        theirs = mirror(codes, Scoped(((where, wrong),)))
    else:
        theirs = mirror.with_weights({where: weights[where] * np.float32(wrong)})(codes)
    every = list(port_mistakes(mirror))
    assert clause not in {one.clause for one in every}
    found = searched(mirror, codes, theirs, monkeypatch, random.Random(case).sample(every, OTHERS))
    assert found and found[0].mistakes[0].clause == clause and found[0].residual < 1e-9


def test_a_choice_that_makes_the_same_comes_before_a_number(
    mirror: VocoderMirror, codes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores divided by a head's width are queries multiplied by 0.177, which nobody does."""
    theirs = mirror(codes, Scoped(((ATTENTION, Choices(scale="width")),)))
    tried = [one for one in port_mistakes(mirror) if one.where == ATTENTION]
    found = searched(mirror, codes, theirs, monkeypatch, tried)
    assert found[0].mistakes[0].clause == f"scores are divided by the head's width, not its root in all of {ATTENTION}"


def test_what_is_left_out_is_no_number(
    mirror: VocoderMirror, codes: Any, weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"{DECODER}.1.block.2.conv2.conv.bias"
    theirs = mirror.with_weights({name: 0 * weights[name]})(codes)
    tried = [one for one in port_mistakes(mirror) if name in one.clause]
    assert searched(mirror, codes, theirs, monkeypatch, tried)[0].mistakes[0].clause == f"{name} is left out"


def test_no_number_makes_what_another_mistake_makes(
    mirror: VocoderMirror, codes: Any, weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes nearer, as any does, and explains nothing."""
    theirs = mirror.with_weights(queries_and_keys(weights))(codes)
    tried = random.Random(0).sample(list(port_mistakes(mirror)), OTHERS)
    found = searched(mirror, codes, theirs, monkeypatch, [one for one in tried if "q_proj" not in one.clause])
    assert all(one.residual > 1e-3 for one in found)


def test_a_clause_without_its_number() -> None:
    one, other = f"theta is 1e+06 in {LAYERS}.0.self_attn", f"theta is 5000 in {LAYERS}.0.self_attn"
    assert but_for_numbers(one) == but_for_numbers(other) != but_for_numbers(one.replace("layers.0", "layers.1"))
    assert but_for_numbers("x.2.weight is multiplied by 0.5") == but_for_numbers("x.2.weight is multiplied by -1")


# --- how they are generated -------------------------------------------------------------------------------------------


def test_modules_are_exchanged_at_any_distance() -> None:
    shapes = {f"m.layers.{i}.{part}.weight": (4, 4) for i in range(4) for part in ("a", "b")}
    clauses = {mistake.clause for mistake in joint_mistakes(shapes, {}, "none")}
    assert "m.layers.0 and m.layers.3 are exchanged" in clauses
    assert "each of m.layers.* is taken from the other end" in clauses
    assert "each of m.layers.*.a.weight is taken from the next" in clauses


def test_modules_of_other_shapes_are_not() -> None:
    shapes = {"m.layers.0.a.weight": (4, 4), "m.layers.1.a.weight": (4, 8)}
    assert not [one for one in joint_mistakes(shapes, {}, "none") if one.kind in ("swapped", "copied")]


def test_keys_may_be_packed_by_the_number_of_queries() -> None:
    shapes = {"x.self_attn.q_proj.weight": (16, 4), "x.self_attn.k_proj.weight": (8, 4)}
    heads = {"self_attn.q_proj.weight": 4, "self_attn.k_proj.weight": 2}
    words = "as if it had as many heads as queries have"
    assert [one for one in joint_mistakes(shapes, heads, "none") if words in one.clause]
    alike = dict.fromkeys(heads, 2)
    assert not [one for one in joint_mistakes(shapes, alike, "none") if words in one.clause]


def test_each_place_is_looked_at_once() -> None:
    """And the earliest that tells is known, wherever it stands among them."""
    told = np.zeros(100)
    told[[3, 50, 80]] = 1.0, 0.9, 0.8
    for window in (1, 2, 40):
        blocks, earliest = telling_blocks(told, a_frame=2, window=window)
        assert len(blocks) == len(set(blocks)) and blocks[earliest] == 3

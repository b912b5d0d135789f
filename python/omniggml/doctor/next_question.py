"""Where several causes are left, or none: the one measurement that would tell most, from what each cause predicts."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from itertools import combinations
from math import ceil

import numpy as np
import numpy.typing as npt

from omniggml.comparison.agreement import agreement
from omniggml.comparison.computation_order import order_of
from omniggml.doctor import thresholds as bounds
from omniggml.doctor.dump_names import under_our_names
from omniggml.doctor.port_search import with_mistakes
from omniggml.doctor.vocoder_grammar import PortMistake, port_mistakes
from omniggml.doctor.vocoder_mirror import VocoderMirror

IntArray = npt.NDArray[np.int32]
Outputs = Mapping[str, npt.NDArray[np.float32]]
Cause = tuple[PortMistake, ...]


def which_module(
    mirror: VocoderMirror, codes: IntArray, causes: Sequence[Cause], known: Collection[str] = (), since: int = 0
) -> str:
    """What to dump so that as many of the causes as possible are told apart, as a request; "" where nothing would.
    `known`: names of what was dumped already; `since`: the first frame that shows anything."""
    frames = _frames_asked(codes, since)
    predicted = [_outputs(mirror, frames, cause) for cause in causes[: bounds.ASKED_CAUSES]]
    pairs = list(combinations(predicted, 2))
    best: tuple[int, float, str] = (0, 0.0, "")
    for name in _not_dumped(predicted[0], known) if pairs else []:
        apart = [_distance(one.get(name), other.get(name)) for one, other in pairs]
        told = sum(bounds.TOLD_APART.above(distance) for distance in apart)
        # The earliest of those that tell as many apart: what follows mixes in more.
        if told > best[0]:
            best = told, min(apart), name
    told, _, name = best
    if not name:
        return ""
    tells = "which of the causes that are left it is" if told == len(pairs) else "which of them it can't be"
    return f"{_saved(name, frames)}. That tells {tells}."


def where_to_cut(mirror: VocoderMirror, codes: IntArray, known: Collection[str] = (), since: int = 0) -> str:
    """Where no cause is left: the module that halves the mistakes that can be made, so that a dump of it says on which
    side to look. As `which_module`."""
    frames = _frames_asked(codes, since)
    modules = _not_dumped(_outputs(mirror, frames, ()), known)
    places = sorted(min(map(order_of, mistake.paths())) for mistake in port_mistakes(mirror) if mistake.paths())
    if not modules or not places:
        return ""

    def from_half(name: str) -> float:
        return abs(bisect_right(places, order_of(name)) / len(places) - bounds.HALF)

    name = min(modules, key=from_half)
    return f"{_saved(name, frames)}. That tells whether it is wrong up to there, or only behind it."


def _frames_asked(codes: IntArray, since: int) -> IntArray:
    return codes[:, : max(bounds.ASKED_FRAMES, since + 2)]


def _saved(name: str, frames: IntArray) -> str:
    return (
        f"In your program decode the first {frames.shape[1]} frames of these codes, save the output of {name} under "
        "that name in an .npz file, and run the doctor again with --theirs FILE beside the same --codes"
    )


def how_many_frames(nats_a_code: float, groups: int) -> str:
    """How many frames tell two talkers apart whose codes are that much likelier with one of them."""
    if nats_a_code <= 0:
        return "Send codes of another text: with this one both causes make the same."
    frames = ceil(bounds.GAIN.value / (nats_a_code * groups))
    if frames > bounds.MOST_ASKED_FRAMES:
        return "Send codes of another text: with this one both causes make nearly the same."
    return f"Send {frames} more frames of this speech, or as many of another: they tell the causes that are left apart."


def _not_dumped(outputs: Outputs, known: Collection[str]) -> list[str]:
    """Modules in the order of computation, without those whose output is there under any name."""
    there = under_our_names(dict.fromkeys(known, np.zeros(0)), dict.fromkeys(outputs, ()))
    return sorted(set(outputs) - set(there), key=order_of)


def _outputs(mirror: VocoderMirror, codes: IntArray, cause: Cause) -> Outputs:
    """What every module of a vocoder with those mistakes computes; {} where none could."""
    changed, choices = with_mistakes(mirror, cause)
    for mistake in cause:
        if mistake.codes is not None:
            codes = np.ascontiguousarray(mistake.codes(codes))
    changed.watch = True
    try:
        changed(codes, choices)
        return dict(changed.seen)
    except (ValueError, IndexError):
        return {}
    finally:
        changed.watch = False


def _distance(one: npt.NDArray[np.float32] | None, other: npt.NDArray[np.float32] | None) -> float:
    if one is None or other is None:
        return 0.0
    if one.size != other.size:
        return np.inf
    return agreement(one, other).nmse if np.isfinite(one).all() and np.isfinite(other).all() else np.inf

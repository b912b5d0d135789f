"""Codes of a known text that fit it at first: what was done to them from then on, by what puts them together again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from omniggml.doctor import thresholds as bounds
from omniggml.doctor.check_report import Report
from omniggml.doctor.counterfactuals import CODE_CAUSES, Arrangement, arrangements
from omniggml.doctor.likelihood import Likelihood, likelihood_of
from omniggml.doctor.splices import Assembler, Assembly, Embed
from omniggml.model import Model, TalkerPrompt

IntArray = npt.NDArray[np.int32]


def check_pieces(
    report: Report, model: Model, prompt: TalkerPrompt, codes: IntArray, embed: Embed, fitting: int
) -> IntArray | None:
    """The codes as they were spoken, where what was done to them is named; as they are given where frames are lost, or
    other words were spoken than were told.

    `fitting`: how many frames are what the model says of the text.
    """
    size = model.geometry["code2wav"]["codebook_size"]
    assembler = Assembler(model, prompt, codes, embed, _of_frames(codes, size))
    found = assembler.assembled(fitting) or assembler.thinned()
    if found is None or not _explains(model, prompt, found):
        return None
    left = sorted(set(range(codes.shape[1])) - set(found.path))
    if found.change is not None:
        return _say_changed(report, found, codes) if not left and not found.lost else None
    if found.lost:
        return _say_lost(report, found, codes, left)
    if left and not bounds.LEFT_OVER.below(len(left)):
        return _say_more(report, found, codes, left)
    return _say_order(report, found)


def _of_frames(codes: IntArray, size: int) -> list[Arrangement]:
    """What may have been done to each frame alone."""
    alone = ("codes.group-order", "codes.off-by-one", "codes.reversed-ids")
    return [one for one in arrangements(codes, len(codes), size) if one.id in alone]


def _explains(model: Model, prompt: TalkerPrompt, found: Assembly) -> bool:
    """Whether the given frames are as likely as the model expects, together again."""
    whole = likelihood_of(model, prompt, found.codes)
    assert whole.deficit is not None and whole.spread is not None
    given = [at for at, number in enumerate(found.path) if number >= 0]
    judged: Likelihood = replace(whole, deficit=whole.deficit[:, given], spread=whole.spread[:, given])
    return judged.fits


def _say_changed(report: Report, found: Assembly, codes: IntArray) -> IntArray:
    assert found.change is not None
    report.find(
        found.change.id,
        f"From frame {found.changed} on {found.change.sentence}: put right, they are what the model says of this text.",
        cause={"kind": CODE_CAUSES.get(found.change.id, "order"), "where": "codes"},
        first_frame=found.changed,
    )
    return found.codes


def _say_lost(report: Report, found: Assembly, codes: IntArray, left: Sequence[int]) -> IntArray | None:
    places = _losses(found)
    cut = not left or (bounds.LEFT_OVER.below(len(left)) and bounds.LOST_BESIDE.above(found.lost - len(left)))
    # What is lost at the beginning is no other than a text that comes early.
    if cut and (len(places) > 1 or bounds.FIT_AT_FIRST.above(places[0][0])):
        where = ", ".join(f"{n} before frame {frame}" for frame, n in places[: bounds.NAMED_PIECES])
        report.find(
            "codes.lost",
            f"Frames are lost: {where}{' and so on' if len(places) > bounds.NAMED_PIECES else ''}. With as many of the "
            "model's own in their place, all are what it says of this text.",
            cause={"kind": "cut", "where": "codes"},
            lost=found.lost - len(left),
            first_frame=places[0][0],
        )
        return codes
    if not bounds.FIT_AT_FIRST.above(left[0] if left else 0):
        return None
    report.find(
        "codes.other-text",
        f"Frames {left[0]} to {left[-1]} are not what the model says of this text, those before and behind them are: "
        "other words may have been spoken there than were told, or they are of another speech.",
        cause={"kind": "text", "where": "codes"},
        frames=len(left),
        first_frame=left[0],
    )
    return codes


def _losses(found: Assembly) -> list[tuple[int, int]]:
    """Before which given frames how many are lost: where the first of these fit none of what the model says in their
    place, its frames stand for them as well."""
    every = []
    for before, (first, n), behind in zip(runs := found.runs(), runs[1:], runs[2:], strict=False):
        if first < 0:
            beside = max(behind[0] - before[1] - 1, 0)
            every.append((behind[0] - beside, n - beside))
    return every


def _say_more(report: Report, found: Assembly, codes: IntArray, left: Sequence[int]) -> IntArray | None:
    """Frames are left over where nothing is missing."""
    others = {codes[:, number].tobytes() for number in found.path}
    if all(codes[:, number].tobytes() in others for number in left):
        report.find(
            "codes.doubled",
            f"Frames come twice: {_spans(left)} were there already. Without these the rest is what the model says of "
            "this text.",
            cause={"kind": "doubled", "where": "codes"},
            frames=len(left),
            first_frame=left[0],
        )
        return found.codes
    if len(_pieces(left)) > 1:
        report.find(
            "codes.other-frames",
            f"Frames of something else lie between: without {_spans(left)} the rest is what the model says of this "
            "text.",
            cause={"kind": "mixed", "where": "codes"},
            frames=len(left),
            first_frame=left[0],
        )
        return found.codes
    return None


def _say_order(report: Report, found: Assembly) -> IntArray | None:
    runs = found.runs()
    if all(one[0] < other[0] for one, other in pairwise(runs)):
        return None
    order = ", ".join(f"{first} to {last}" for first, last in runs[: bounds.NAMED_PIECES])
    report.find(
        "codes.frame-order",
        f"Frames are in another order: they are what the model says of this text when frames {order} follow one another"
        f"{' and so on' if len(runs) > bounds.NAMED_PIECES else ''}.",
        cause={"kind": "order", "where": "codes"},
        pieces=len(runs),
        first_frame=runs[0][1] + 1,
    )
    return found.codes


def _pieces(frames: Sequence[int]) -> list[tuple[int, int]]:
    """First and last of each stretch."""
    found: list[tuple[int, int]] = []
    for frame in frames:
        if found and frame == found[-1][1] + 1:
            found[-1] = (found[-1][0], frame)
        else:
            found.append((frame, frame))
    return found


def _spans(frames: Sequence[int]) -> str:
    pieces = _pieces(frames)
    said = [str(first) if first == last else f"{first} to {last}" for first, last in pieces[: bounds.NAMED_PIECES]]
    return f"frame{'s' if len(frames) > 1 else ''} {', '.join(said)}" + (
        " and so on" if len(pieces) > bounds.NAMED_PIECES else ""
    )

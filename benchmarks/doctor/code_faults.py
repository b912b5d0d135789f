"""Faults in codes: what programs do to them between the predictor and code2wav."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from file_faults import all_in_one_settings
from planted import Planted
from subjects import TEXTS, Subjects

from foreign_files import write_all_in_one

Change = Callable[[Any, int], Any]

FAULTS: dict[str, tuple[Change, str]] = {
    "layout transposed": (lambda c, n: c.T, "codes.transposed"),
    "groups reversed": (lambda c, n: c[::-1], "codes.group-order"),
    "groups rotated by one": (lambda c, n: np.roll(c, 1, axis=0), "codes.group-order"),
    "groups rotated by minus one": (lambda c, n: np.roll(c, -1, axis=0), "codes.group-order"),
    "even groups, then odd": (lambda c, n: np.concatenate([c[::2], c[1::2]]), "codes.group-order"),
    "frames backwards": (lambda c, n: c[:, ::-1], "codes.frame-order"),
    "reshaped instead of transposed": (lambda c, n: np.ascontiguousarray(c.T).reshape(c.shape), "codes.transposed"),
    "first group missing": (lambda c, n: c[1:], "codes.first-group-missing"),
    "first half of the predictor's": (lambda c, n: c[1 : 1 + len(c) // 2], "codes.first-group-missing"),
    "first half of the groups": (lambda c, n: c[: len(c) // 2], "codes.fewer-groups"),
    "last group missing": (lambda c, n: c[:-1], "codes.fewer-groups"),
    "one group too many": (lambda c, n: np.concatenate([c, c[-1:]]), "codes.more-groups"),
    "offset added": (lambda c, n: c + n * np.arange(len(c))[:, None], "codes.offset-added"),
    "double offset added": (lambda c, n: c + 2 * n * np.arange(len(c))[:, None], "codes.offset-added"),
    "eos in the last frame": (lambda c, n: np.concatenate([c, np.full((len(c), 1), -7)], axis=1), "codes.control-ids"),
    "eos in five frames": (lambda c, n: np.concatenate([c, np.full((len(c), 5), -7)], axis=1), "codes.control-ids"),
    "counted from one": (lambda c, n: np.append(c, c[:, -1:] * 0 + n - 1, axis=1) + 1, "codes.off-by-one"),
    "a few beyond": (lambda c, n: np.where(c == c[0, 3], 7 * n, c), "codes.out-of-range"),
    "negative": (lambda c, n: np.where(c == c[0, 3], -1, c), "codes.negative"),
    "one frame for all": (lambda c, n: np.repeat(c[:, 5:6], 30, axis=1), "codes.constant"),
    "four frames, over and over": (lambda c, n: np.tile(c[:, :4], 8), "codes.repeating"),
    "one group stuck": (lambda c, n: np.concatenate([c[:2], 0 * c[2:3] + 7, c[3:]]), "codes.collapsed-group"),
    "one group copied": (lambda c, n: np.concatenate([c[:2], c[1:2], c[3:]]), "codes.equal-groups"),
    "drawn at random": (lambda c, n: np.random.default_rng(0).integers(0, n, c.shape), "codes.unlikely"),
    "fractions": (lambda c, n: c + 0.25, "codes.shape"),
}

_SHORT = ("even groups, then odd", "reshaped instead of transposed")


def cases(subjects: Subjects) -> Iterator[Planted]:
    for number, (fault, (change, cause)) in enumerate(FAULTS.items()):
        turn = ["mini", "odd", "long-window", "big-codebook", "grouped"][number % 5]
        for place in subjects.some(turn, "tiny" if fault not in _SHORT else "mini"):
            for text in (TEXTS[0], None) if place in (turn, "voice") else (TEXTS[0],):
                name = f"codes/{fault}/{place}, {'text known' if text else 'text unknown'}"
                yield Planted(name, (cause,), partial(_given, subjects, place, change, text))
    for place, groups in (("long-window", 8), ("mini", 8)):
        for offset in (False, True):
            how = ", offset by twice the codebook" if offset else ""
            name = f"codes/the first 8 of 15{how}/{place}, all in one in Q8_0"
            yield Planted(
                name, ("codes.first-group-missing",), partial(_starting_case, subjects, place, groups, offset)
            )


def _given(subjects: Subjects, name: str, change: Change, text: str | None) -> dict[str, Any]:
    model = subjects.model(name)
    codes = change(subjects.spoken(name).codes, model.geometry["code2wav"]["codebook_size"])
    codes = np.where(codes == -7, model.geometry["talker"]["codec_eos_token_id"], codes)
    return {"model": subjects.file(name), "codes": codes, "text": text}


def _starting_case(subjects: Subjects, name: str, groups: int, offset: bool) -> dict[str, Any]:
    """The case this project began with: everything in Q8_0, and 8 of the predictor's 15 codes as 8 codebooks."""
    path = write_all_in_one(subjects.new_path(".gguf"), subjects.file(name), None, tokenizer=True, q8=True)
    size = subjects.model(name).geometry["code2wav"]["codebook_size"]
    codes = subjects.spoken(name).codes[1 : groups + 1]
    codes = codes + 2 * size * np.arange(groups)[:, None] if offset else codes
    return {"model": path, "overrides": all_in_one_settings(subjects, name), "codes": codes}

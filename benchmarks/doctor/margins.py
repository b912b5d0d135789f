"""How far sound cases and faults stay from the doctor's bounds."""

from __future__ import annotations

import json
from collections import defaultdict
from fnmatch import fnmatchcase

from table import Outcome

from omniggml.doctor.thresholds import TABLE, Asked, Margin

# A tensor alone is asked about hundreds of times in a case; which of them is at fault is the one farthest beyond.
Measured = dict[str, Margin]


def measure(outcomes: list[Outcome]) -> Measured:
    """Of every bound that was asked: the value nearest to a finding (or farthest beyond it) of all sound cases, and, of
    all cases whose planted cause it finds and found, the one in which the fault shows least."""
    sound: dict[str, list[tuple[float, float]]] = defaultdict(list)
    faults: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for outcome in outcomes:
        for name, (beyond, value) in _farthest(outcome.asked).items():
            if not outcome.case.causes:
                sound[name].append((beyond, value))
            elif beyond > 0 and outcome.right and _finds(name, outcome.causes[0]):
                faults[name].append((beyond, value))
    return {
        name: Margin(
            max(sound[name])[1] if name in sound else None,
            min(faults[name])[1] if name in faults else None,
        )
        for name in TABLE
        if name in sound or name in faults
    }


def _farthest(asked: list[Asked]) -> dict[str, tuple[float, float]]:
    """Bound -> how far beyond it a case went at most, and the value there; NaN counts as nothing."""
    found: dict[str, tuple[float, float]] = {}
    for question in asked:
        if question.measured != question.measured:
            continue
        difference = question.measured - TABLE[question.name].value
        entry = (difference if question.upwards else -difference, question.measured)
        found[question.name] = max(found.get(question.name, entry), entry)
    return found


def _finds(name: str, id: str) -> bool:
    return any(fnmatchcase(id, pattern) for pattern in TABLE[name].finds)


def print_margins(measured: Measured) -> None:
    print("\n| bound | value | unit | sound cases reach | faults begin at |")
    print("|---|---|---|---|---|")
    for name, bound in TABLE.items():
        margin = measured.get(name, Margin(None, None))
        reach, begin = (_shown(value) for value in (margin.sound, margin.fault))
        print(f"| {name} | {bound.value:g} | {bound.unit} | {reach} | {begin} |")


def _shown(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3g}"


def as_json(measured: Measured) -> str:
    """What `margins.json` holds."""
    rounded = {
        name: {"sound": _rounded(margin.sound), "fault": _rounded(margin.fault)} for name, margin in measured.items()
    }
    return json.dumps(rounded, indent=1) + "\n"


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.3g}")

"""From a case to what the doctor is given."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from . import audio_edits, code_arrangements
from .frozen import Case
from .voices import TEXTS, Unseen

Given = dict[str, Any]


def given(case: Case, subjects: Unseen) -> Given:
    """Arguments of the doctor, with the files written that they name."""
    return MAKERS[case.part](case, subjects)


def _ported(case: Case, subjects: Unseen) -> Given:
    """A vocoder with mistakes: right codes and the audio that it made of them. Half of them with the text."""
    codes = subjects.said(case.subject, case.text).codes
    samples = subjects.vocoder(case.subject).decode(codes, reduce(add, case.mistakes))
    subtype = "PCM_16" if case.seed % 4 else "FLOAT"
    made = {"model": subjects.file(case.subject), "codes": codes, "audio": subjects.wav(samples, subtype)}
    return made | ({"text": TEXTS[case.text]} if case.seed % 2 else {})


def _edited(case: Case, subjects: Unseen) -> Given:
    """Right samples, edited on their way into the file. Two of three with the codes, the others with the text."""
    table = audio_edits.FAULTS | audio_edits.HEALTHY
    said = subjects.said(case.subject, case.text)
    rng = np.random.default_rng(case.seed)
    path = table[case.detail["edit"]].make(said.samples.astype(np.float64), rng, subjects.new_path(""))
    made = {"model": subjects.file(case.subject), "audio": path}
    return made | ({"codes": said.codes} if case.detail["codes"] else {"text": TEXTS[case.text]})


def others(case: Case, subjects: Unseen) -> code_arrangements.Others:
    """What an arrangement may mix in."""
    model, next_text = subjects.model(case.subject), (case.text + 1) % len(TEXTS)
    speaker = next(name for name in model.speakers if name != model.default_speaker)
    return code_arrangements.Others(
        speech=subjects.said(case.subject, next_text).codes,
        speaker=subjects.said(case.subject, case.text, 1, speaker).codes,
        seed=subjects.said(case.subject, case.text, 2).codes,
        codebook=model.geometry["code2wav"]["codebook_size"],
        text=TEXTS[case.text],
        other_text=TEXTS[next_text],
    )


def _arranged(case: Case, subjects: Unseen) -> Given:
    codes = subjects.said(case.subject, case.text).codes
    arrangement = code_arrangements.FAULTS[case.detail["arrangement"]]
    changed, told = arrangement.make(codes, np.random.default_rng(case.seed), others(case, subjects))
    text = told or (TEXTS[case.text] if case.detail["text"] else None)
    return {"model": subjects.file(case.subject), "codes": np.ascontiguousarray(changed), "text": text}


MAKERS: dict[str, Callable[[Case, Unseen], Given]] = {
    "vocoder": _ported,
    "pairs": _ported,
    "audio": _edited,
    "codes": _arranged,
}
MAKERS["healthy audio"] = _edited

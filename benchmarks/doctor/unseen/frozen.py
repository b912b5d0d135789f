"""The cases of the benchmark: drawn once, written to `frozen.json`, and made again from there.

    python -m benchmarks.doctor.unseen --freeze

draws them anew, which nobody does once the doctor has been measured by them.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .mistake import Mistake

FILE = Path(__file__).parent / "frozen.json"
SUBJECTS = ("voice", "mini")
FAINT, UNLIKELY = 0.03, 0.15  # nats a code less than a sound talker's: what is drawn at all, and what must be seen
BF16, INAUDIBLE = 36.0, 60.0  # dB: the noise of a sound engine in bfloat16; beyond 60 nothing can be asked for

_SPEECH = "what is left is speech, in steps no larger than its own, and nobody knows what was to be said"
WITHOUT_CODES = {
    "a piece cut out": _SPEECH,
    "the end of each piece lost": _SPEECH,
    "pieces of an odd number of bytes dropped": _SPEECH,
    "the end lost": "speech may end there, as it does where a limit of frames cuts it",
    "sign turned": "both signs sound alike, and neither is right where there is nothing to compare with",
}
"""Edits of audio that leave no trace where neither codes nor text are given. They were frozen before anybody asked
that; `numbers` counts them apart."""
_OTHER_WORDS = (
    "of a text that nobody tells the model finds its own codes as unlikely as another speech's: 30 nats a code"
)
WITHOUT_TEXT = {"another speech from a frame on": _OTHER_WORDS, "a piece of another speech": _OTHER_WORDS}
"""The same of arrangements of codes where no text is given."""


@dataclass(frozen=True)
class Case:
    """`part`: which generator makes it, `subject`: in which model, `text`: which of `subjects.TEXTS` was spoken,
    `seed`: of whatever is random in it. `mistakes`: what was done wrong, none where it is healthy. `detail`: what the
    generator needs besides. `effect`: how far the audio is from the right one, in dB; None where it isn't measured."""

    name: str
    part: str
    subject: str
    text: int
    seed: int
    mistakes: tuple[Mistake, ...] = ()
    detail: dict[str, Any] = field(default_factory=dict)
    effect: float | None = None

    @classmethod
    def read(cls, data: dict[str, Any]) -> Case:
        return cls(**{**data, "mistakes": tuple(map(Mistake.read, data["mistakes"]))})

    @property
    def untellable(self) -> str:
        """Why the mistake can't be told from what is given, whoever looks at it; "" where it can."""
        if self.part == "audio" and not self.detail["codes"]:
            return WITHOUT_CODES.get(self.detail["edit"], "")
        if self.part == "codes" and not self.detail["text"]:
            return WITHOUT_TEXT.get(self.detail["arrangement"], "")
        return ""

    @property
    def above_noise(self) -> bool:
        """Whether the effect is beyond what sound engines of some precision, or sound talkers, differ by."""
        if "nats" in self.detail:
            return bool(self.detail["sound"] - self.detail["nats"] > UNLIKELY)
        return self.effect is None or self.effect < BF16


def cases(parts: tuple[str, ...] = ()) -> list[Case]:
    """As they were frozen, of these parts or all."""
    found = [Case.read(data) for data in json.loads(FILE.read_text())]
    return [case for case in found if not parts or case.part in parts]


def write(drawn: list[Case]) -> None:
    """One case a line, so that a change is seen."""
    lines = [json.dumps(plain(case), ensure_ascii=False) for case in drawn]
    FILE.write_text("[\n" + ",\n".join(lines) + "\n]\n")


def plain(case: Case) -> dict[str, Any]:
    """What JSON gives back unchanged."""
    value = case.effect
    data = asdict(case) | {"effect": None if value is None else round(float(np.clip(value, -99, 99)), 1)}
    return dict(json.loads(json.dumps(data)))


def seed_of(*words: Any) -> int:
    return zlib.crc32(" ".join(map(str, words)).encode())

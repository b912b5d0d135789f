"""One case before the doctor: nothing but its public function is used."""

from __future__ import annotations

import os
import time
import traceback
from dataclasses import dataclass
from typing import Any

import omniggml

from .evidence import given
from .frozen import Case
from .grading import among
from .voices import Unseen

diagnose = getattr(omniggml, "diagnose", None) or omniggml.doctor


@dataclass(frozen=True)
class Outcome:
    """`ids`: of what was found besides notes, the likeliest first. `ranks`: for each mistake the place, from 1, of the
    first finding that names it, 0 where none does. `exit_code`: the doctor's; 3 where it raised an error. `cpu`:
    seconds of the processor, on which other work has no bearing."""

    case: Case
    ids: tuple[str, ...]
    said: str
    ranks: tuple[int, ...]
    exit_code: int
    seconds: float
    cpu: float = 0.0

    def within(self, n: int) -> bool:
        """Whether the first n findings name every mistake."""
        return bool(self.ranks) and all(0 < rank <= n for rank in self.ranks)

    @property
    def detected(self) -> bool:
        return self.exit_code in (1, 2)

    def line(self) -> str:
        effect = "" if self.case.effect is None else f"{self.case.effect:5.1f} dB"
        mark = "ok" if self.within(max(1, len(self.ranks))) or (not self.ranks and self.exit_code == 0) else "  "
        return f"{mark} {self.cpu:5.1f} s {effect:9} {self.case.name:90} {', '.join(self.ids[:3]) or self.said}"

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.case.name,
            "effect": self.case.effect,
            "ids": self.ids,
            "said": self.said,
            "ranks": self.ranks,
            "exit_code": self.exit_code,
            "seconds": self.seconds,
            "cpu": self.cpu,
        }


_here: list[Unseen] = []


def prepare(subjects: Unseen) -> None:
    """In a process of its own: where it writes."""
    subjects.root /= f"at-{os.getpid()}"
    subjects.root.mkdir()
    _here.append(subjects)


def examine(case: Case) -> Outcome:
    arguments = given(case, _here[0])
    start, used = time.monotonic(), time.process_time()
    try:
        found = diagnose(**arguments, n_threads=1)
    except Exception as error:  # what the doctor can't take is a number, too
        last = traceback.extract_tb(error.__traceback__)[-1].name
        return Outcome(case, (), f"{type(error).__name__} in {last}: {error}", (0,) * len(case.mistakes), 3, 0.0)
    finally:
        seconds, cpu = time.monotonic() - start, time.process_time() - used
    causes = list(found.causes)
    ranks = tuple(
        next((n for n in range(1, len(causes) + 1) if among(causes, mistake, n)), 0) for mistake in case.mistakes
    )
    return Outcome(case, tuple(one.id for one in causes), found.verdict, ranks, int(found.exit_code), seconds, cpu)

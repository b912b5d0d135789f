"""A case for the doctor, and what it should say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import omniggml
from omniggml.doctor.thresholds import Asked, recording


@dataclass(frozen=True)
class Planted:
    """`name`: "group/fault/subject"; `causes`: findings that name the fault, none for a healthy case; `given`: makes
    the arguments of `omniggml.diagnose`, the model among them, when the case's turn comes."""

    name: str
    causes: tuple[str, ...]
    given: Callable[[], dict[str, Any]]

    @property
    def group(self) -> str:
        return self.name.split("/")[0]

    @property
    def fault(self) -> str:
        return self.name.split("/")[1]

    def examine(self) -> tuple[omniggml.Diagnosis, list[Asked]]:
        """What the doctor says, and what its bounds were asked."""
        given = self.given()
        with recording() as asked:
            return omniggml.diagnose(**given, n_threads=1), asked

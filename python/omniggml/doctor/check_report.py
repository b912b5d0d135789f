"""What one check says: checks only add to a report of their own, and `finding.resolved` judges between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from omniggml.doctor.catalogue import Certainty
from omniggml.doctor.finding import Finding


@dataclass
class Report:
    """`checked`: the check's name, "" where it had nothing to look at. `skipped`: what it does not look at, and why;
    `failed`: what it should have looked at and could not, and why. `measurements`: numbers that it took on the way, by
    name. `questions`: what to measure next, where causes are left. `of`: of which part of what was given findings are
    from now on, as their sentences begin."""

    checked: str = ""
    findings: list[Finding] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    measurements: dict[str, Any] = field(default_factory=dict)
    questions: list[str] = field(default_factory=list)
    of: str = ""

    def find(
        self,
        id: str,
        sentence: str,
        /,
        *,
        tensors: tuple[str, ...] = (),
        certainty: Certainty | None = None,
        cause: Mapping[str, str] | Sequence[Mapping[str, str]] | None = None,
        **evidence: Any,
    ) -> None:
        """Add a finding; `evidence` are its numbers, `certainty` on what it rests, where not on the usual."""
        self.findings.append(Finding(id, self.of + sentence, evidence, tensors, certainty, cause))

    def ask(self, what: str) -> None:
        """A measurement that would tell more; "" for none."""
        if what:
            self.questions.append(what)

    def skip(self, why: str) -> None:
        """Something is not looked at, which is as it should be."""
        self.skipped.append(why)

    def fail(self, why: str) -> None:
        """Something that was given could not be looked at: without it nobody can say that nothing is wrong."""
        self.failed.append(why)

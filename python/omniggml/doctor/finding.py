"""Findings and the diagnosis they add up to, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from omniggml.doctor.catalogue import CATALOGUE, Certainty, Kind, Severity

NOTHING_FOUND = "Nothing is wrong with what was given."
_NOTHING_FOUND_IN = "Nothing is wrong with what could be checked"


class Exit(IntEnum):
    """Exit codes of `omniggml doctor`. `UNDECIDED`: nothing was found, but a check of what was given could not be
    done."""

    HEALTHY = 0
    SUSPICIOUS = 1
    BROKEN = 2
    UNDECIDED = 3

    @property
    def word(self) -> str:
        """As reports begin."""
        return self.name.lower()


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    `id`: a key of `CATALOGUE`, which says what it means and what to do. `sentence`: what was found here, with numbers.
    `evidence`: the numbers by name. `tensors`: names of tensors or modules concerned, worst first. `certainty`: on what
    it rests, where that is not what the catalogue says of its kind. `cause`: the mistake for programs, {"kind": ...,
    "where": ...} where one is named, several where there are.
    """

    id: str
    sentence: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    tensors: tuple[str, ...] = ()
    certainty: Certainty | None = None
    cause: Mapping[str, str] | Sequence[Mapping[str, str]] | None = None

    @property
    def kind(self) -> Kind:
        """What the catalogue says of it."""
        return CATALOGUE[self.id]

    @property
    def severity(self) -> Severity:
        return self.kind.severity

    @property
    def sureness(self) -> Certainty:
        """On what it rests; it ranks findings of one severity."""
        return self.certainty or self.kind.certainty

    @property
    def stage(self) -> str:
        """The stage it belongs to: the part of the id before the dot."""
        return self.id.partition(".")[0]

    def _causes(self) -> list[dict[str, str]]:
        causes = () if self.cause is None else (self.cause,) if isinstance(self.cause, Mapping) else self.cause
        return [dict(cause) for cause in causes]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` prints them."""
        return {
            "id": self.id,
            "severity": self.severity.value,
            "sentence": self.sentence,
            "certainty": self.sureness.value,
            "cause": self._causes(),
            "evidence": dict(self.evidence),
            "tensors": list(self.tensors),
            "meaning": self.kind.meaning,
            "remedy": self.kind.remedy,
        }


@dataclass(frozen=True)
class Diagnosis:
    """Findings, the likeliest cause first. `superseded`: what was found, too, and one of these explains. `checked`:
    what was looked at; `skipped`: what was not, and why that is as it should be; `failed`: what should have been, and
    why it could not. `measurements`: numbers that checks took on the way, by name. `next_question`: the one measurement
    that would tell most, where several causes are left, or none."""

    subject: str
    findings: tuple[Finding, ...]
    checked: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    measurements: Mapping[str, Any] = field(default_factory=dict)
    superseded: tuple[Finding, ...] = ()
    next_question: str = ""
    failed: tuple[str, ...] = ()

    @property
    def causes(self) -> tuple[Finding, ...]:
        """Findings that are more than notes."""
        return tuple(finding for finding in self.findings if finding.severity is not Severity.NOTE)

    @property
    def verdict(self) -> str:
        """The likeliest cause in one sentence, or that nothing was found; and what could not be checked."""
        n = len(self.failed)
        undone = f"{n} check{'s' if n > 1 else ''} could not be done" if n else ""
        if self.causes:
            return self.causes[0].sentence + (f" ({undone}.)" if undone else "")
        left = f"{undone}: {self.failed[0]}" if undone else f"not checked: {self.skipped[0]}" if self.skipped else ""
        return f"{_NOTHING_FOUND_IN}; {left.removesuffix('.')}." if left else NOTHING_FOUND

    @property
    def exit_code(self) -> Exit:
        severities = {finding.severity for finding in self.findings}
        if Severity.BROKEN in severities:
            return Exit.BROKEN
        if Severity.SUSPICIOUS in severities:
            return Exit.SUSPICIOUS
        return Exit.UNDECIDED if self.failed else Exit.HEALTHY

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` prints them."""
        return {
            "subject": self.subject,
            "verdict": self.verdict,
            "exit_code": int(self.exit_code),
            "findings": [finding.as_dict() for finding in self.findings],
            "superseded": [finding.as_dict() for finding in self.superseded],
            "checked": list(self.checked),
            "skipped": list(self.skipped),
            "failed": list(self.failed),
            "next_question": self.next_question,
            "measurements": dict(self.measurements),
        }


def ranked(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Broken before suspicious before notes; among these the more certain; among equals as they came."""
    order = list(Severity)
    return tuple(sorted(findings, key=lambda finding: (order.index(finding.severity), -finding.sureness.value)))


def resolved(findings: Sequence[Finding]) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """Findings, ranked, and apart from them those that others supersede."""
    explained = {id for finding in findings for id in finding.kind.supersedes}
    causes = [finding for finding in findings if finding.id not in explained]
    return ranked(causes), ranked([finding for finding in findings if finding.id in explained])

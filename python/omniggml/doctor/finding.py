"""Findings and the diagnosis they add up to, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from omniggml.doctor.catalogue import CATALOGUE, Kind, Severity

NOTHING_FOUND = "Nothing is wrong with what was given."


class Exit(IntEnum):
    """Exit codes of `omniggml doctor`."""

    HEALTHY = 0
    SUSPICIOUS = 1
    BROKEN = 2


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    `id`: a key of `CATALOGUE`, which says what it means and what to do. `sentence`: what was found here, with numbers.
    `evidence`: the numbers by name. `tensors`: names of tensors or modules concerned, worst first. `certainty`: 1 for
    facts that admit no other reading, less for statistics; it ranks findings of one severity.
    """

    id: str
    sentence: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    tensors: tuple[str, ...] = ()
    certainty: float = 0.5

    @property
    def kind(self) -> Kind:
        """What the catalogue says of it."""
        return CATALOGUE[self.id]

    @property
    def severity(self) -> Severity:
        return self.kind.severity

    @property
    def stage(self) -> str:
        """The stage it belongs to: the part of the id before the dot."""
        return self.id.partition(".")[0]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` prints them."""
        return {
            "id": self.id,
            "severity": self.severity.value,
            "sentence": self.sentence,
            "certainty": self.certainty,
            "evidence": dict(self.evidence),
            "tensors": list(self.tensors),
            "meaning": self.kind.meaning,
            "remedy": self.kind.remedy,
        }


@dataclass(frozen=True)
class Diagnosis:
    """Findings, the likeliest cause first. `checked`: what was looked at; `skipped`: what could not be, and why.
    `measurements`: numbers that checks took on the way, by name."""

    subject: str
    findings: tuple[Finding, ...]
    checked: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    measurements: Mapping[str, Any] = field(default_factory=dict)

    @property
    def causes(self) -> tuple[Finding, ...]:
        """Findings that are more than notes."""
        return tuple(finding for finding in self.findings if finding.severity is not Severity.NOTE)

    @property
    def verdict(self) -> str:
        """The likeliest cause in one sentence, or that nothing was found."""
        return self.causes[0].sentence if self.causes else NOTHING_FOUND

    @property
    def exit_code(self) -> Exit:
        severities = {finding.severity for finding in self.findings}
        if Severity.BROKEN in severities:
            return Exit.BROKEN
        return Exit.SUSPICIOUS if Severity.SUSPICIOUS in severities else Exit.HEALTHY

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` prints them."""
        return {
            "subject": self.subject,
            "verdict": self.verdict,
            "exit_code": int(self.exit_code),
            "findings": [finding.as_dict() for finding in self.findings],
            "checked": list(self.checked),
            "skipped": list(self.skipped),
            "measurements": dict(self.measurements),
        }


def ranked(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Broken before suspicious before notes; among these the more certain; among equals as they came."""
    order = list(Severity)
    return tuple(sorted(findings, key=lambda finding: (order.index(finding.severity), -finding.certainty)))

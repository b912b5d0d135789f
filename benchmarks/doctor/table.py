"""The confusion table."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

from planted import Planted

import omniggml
from omniggml.doctor.thresholds import Asked

TOP_1, TOP_3, MOST_SUSPICIOUS = 0.9, 0.97, 1


@dataclass(frozen=True)
class Outcome:
    """What the doctor said of a case."""

    case: Planted
    found: omniggml.Diagnosis
    seconds: float
    asked: list[Asked]

    @property
    def causes(self) -> list[str]:
        """What is said to be wrong, or else the notes: some faults are none, such as another loudness."""
        notes = [finding for finding in self.found.findings if finding.stage != "file"]
        said = self.found.causes or (notes if self.case.causes else ())
        return [finding.id for finding in said]

    def among(self, n: int) -> bool:
        """Whether the planted cause is among the first n."""
        return any(cause in self.case.causes for cause in self.causes[:n])

    @property
    def right(self) -> bool:
        return self.among(1) if self.case.causes else not self.causes

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.case.name, "planted": self.case.causes, "seconds": self.seconds, **self.found.as_dict()}


def print_table(outcomes: list[Outcome]) -> int:
    """Print it; the status to exit with."""
    planted = [outcome for outcome in outcomes if outcome.case.causes]
    sound = [outcome for outcome in outcomes if not outcome.case.causes]
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in planted:
        groups[outcome.case.group].append(outcome)
    print("\n| faults in | kinds | cases | top-1 cause | top-3 cause | missed | seconds a case |")
    print("|---|---|---|---|---|---|---|")
    for name, some in [*groups.items(), ("all", planted)]:
        kinds = len({outcome.case.fault for outcome in some})
        one, three = (sum(outcome.among(n) for outcome in some) for n in (1, 3))
        missed = sum(not outcome.causes for outcome in some)
        seconds = sum(outcome.seconds for outcome in some) / max(1, len(some))
        print(f"| {name} | {kinds} | {len(some)} | {one} | {three} | {missed} | {seconds:.1f} |")
    broken = [outcome for outcome in sound if outcome.found.exit_code == 2]
    suspicious = [outcome for outcome in sound if outcome.found.exit_code == 1]
    print(f"\n{len(sound)} healthy cases: {len(broken)} called broken, {len(suspicious)} called suspicious.")
    _print_confusions(outcomes)
    print(f"\n{sum(outcome.seconds for outcome in outcomes):.0f} seconds of examinations, {len(outcomes)} of them.")
    top_1, top_3 = (sum(outcome.among(n) for outcome in planted) / max(1, len(planted)) for n in (1, 3))
    good = top_1 >= TOP_1 and top_3 >= TOP_3 and not broken and len(suspicious) <= MOST_SUSPICIOUS
    print(f"Top-1 {top_1:.1%}, top-3 {top_3:.1%}: the goals are {'reached' if good else 'MISSED'}.")
    return 0 if good else 1


def _print_confusions(outcomes: list[Outcome]) -> None:
    wrong = [outcome for outcome in outcomes if not outcome.right]
    if not wrong:
        return
    pairs = Counter((" or ".join(o.case.causes) or "healthy", o.causes[0] if o.causes else "healthy") for o in wrong)
    print("\n| planted | said first | cases |\n|---|---|---|")
    for (cause, said), n in pairs.items():
        print(f"| {cause} | {said} | {n} |")

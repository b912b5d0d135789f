"""docs/doctor.md lists every finding, as the catalogue has it, and names none that does not exist."""

from __future__ import annotations

import re
from pathlib import Path

from omniggml.doctor.catalogue import CATALOGUE

PAGE = (Path(__file__).parent.parent / "docs" / "doctor.md").read_text(encoding="utf-8")


def test_every_finding_is_listed() -> None:
    for id, kind in CATALOGUE.items():
        assert f"| `{id}` | {kind.severity.value} | {kind.meaning} | {kind.remedy} |" in PAGE, id


def test_no_other_is_named() -> None:
    stages = "|".join(sorted({id.partition(".")[0] for id in CATALOGUE}))
    named = set(re.findall(rf"`((?:{stages})\.[a-z0-9-]+)`", PAGE))
    assert named == set(CATALOGUE)

"""Outcomes that outlive a run: one JSON object a line, so that a run that was stopped goes on where it was.

An outcome counts for the doctor's code that gave it. Whatever is changed there, its cases are examined again.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import omniggml

from .examining import Outcome
from .frozen import Case

CODE = Path(omniggml.__file__).parent / "doctor"


def usual_file() -> Path:
    """In the user's directory for what can be made again."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "omniggml" / "doctor-unseen.jsonl"


def code_version() -> str:
    """Changes with every change of the doctor's code."""
    sources = sorted(CODE.rglob("*.py"))
    told = b"".join(str(path.relative_to(CODE)).encode() + b"\0" + path.read_bytes() for path in sources)
    return hashlib.sha256(told).hexdigest()[:12]


class Results:
    """Outcomes in `path`, of the doctor's code as it is now."""

    def __init__(self, path: Path) -> None:
        self.path, self.version = path, code_version()
        lines = path.read_text().splitlines() if path.exists() else []
        rows = [row for line in lines if (row := _read(line))]
        self._rows = {row["name"]: row for row in rows if row["version"] == self.version}

    def of(self, case: Case) -> Outcome | None:
        """What was found of it, None where it wasn't examined yet."""
        row = self._rows.get(case.name)
        if row is None:
            return None
        return Outcome(case, **{key: _plain(row[key]) for key in row if key not in ("name", "version")})

    def add(self, outcome: Outcome) -> None:
        """Write it down at once."""
        row = {"name": outcome.case.name, "version": self.version} | asdict(outcome)
        del row["case"]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
        self._rows[outcome.case.name] = row


def _read(line: str) -> dict[str, Any]:
    """{} for a line that was cut off when a run was stopped."""
    try:
        return dict(json.loads(line))
    except ValueError:
        return {}


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value

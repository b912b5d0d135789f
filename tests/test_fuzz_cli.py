"""The command line under mutated files and hostile arguments: the short sister of `scripts/fuzz_cli.sh`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("forks", allow_module_level=True)

RUNS = 60


@pytest.mark.slow
def test_every_end_is_an_exit_with_a_sentence(tmp_path: Path) -> None:
    script = Path(__file__).with_name("fuzz_cli.py")
    command = [sys.executable, script, "--runs", RUNS, "--first", 777_000, "--log", tmp_path / "log.jsonl"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    results = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert len(results) == RUNS and len({result["arguments"][0] for result in results if result["arguments"]}) > 4

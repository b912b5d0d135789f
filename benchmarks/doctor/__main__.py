"""How often is the doctor right? Plants faults, asks it, and prints a confusion table.

    python benchmarks/doctor [--voice FILE] [--only WORD] [--json OUT]

Faults are planted in random checkpoints of several geometries and in the built-in voice (or the speech file given);
foreign audio and tensor dumps are made with transformers, and left out where that is not installed. No generator
shares code with the check that finds its fault. Ends with status 1 when a goal is missed. Below the table stands how
far sound cases and faults stay from every bound of the doctor (`omniggml/doctor/thresholds.py`); `--margins
python/omniggml/doctor/margins.json` puts what a whole run measured beside them.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2] / "tests")]

import audio_faults  # noqa: E402
import code_faults  # noqa: E402
import file_faults  # noqa: E402
import healthy  # noqa: E402
import talker_faults  # noqa: E402
from margins import as_json, measure, print_margins  # noqa: E402
from planted import Planted  # noqa: E402
from subjects import Subjects  # noqa: E402
from table import Outcome, print_table  # noqa: E402

from omniggml import Diagnosis  # noqa: E402
from omniggml.doctor.thresholds import Asked  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--voice", type=Path, help="a trained speech file; default: the built-in voice, if there is one"
    )
    parser.add_argument("--only", default="", help="cases whose names hold this word")
    parser.add_argument("--json", type=Path, help="write every outcome")
    parser.add_argument("--margins", type=Path, help="write how far cases stay from the doctor's bounds, as JSON")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    start = time.monotonic()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as directory:
        subjects = Subjects(Path(directory), options.voice)
        cases = [case for case in _cases(subjects) if options.only in case.name]
        outcomes = _all_examined(cases, subjects, options.processes)
    print(f"\n{time.monotonic() - start:.0f} seconds with {options.processes} processes.")
    if options.json:
        options.json.write_text(json.dumps([outcome.as_dict() for outcome in outcomes], indent=1))
    status = print_table(outcomes)
    measured = measure(outcomes)
    print_margins(measured)
    if options.margins:
        options.margins.write_text(as_json(measured))
    return status


def _cases(subjects: Subjects) -> list[Planted]:
    cases = [*file_faults.cases(subjects), *code_faults.cases(subjects), *audio_faults.cases(subjects)]
    cases += talker_faults.cases(subjects)
    try:
        import foreign_vocoder
    except ImportError:
        print("transformers is not installed: audio and dumps of foreign programs are left out")
    else:
        cases += foreign_vocoder.cases(subjects)
    return [*cases, *healthy.cases(subjects)]


def _all_examined(cases: list[Planted], subjects: Subjects, processes: int) -> list[Outcome]:
    """In processes that are forked, since cases hold functions; every process plants in a directory of its own."""
    outcomes = []
    context = multiprocessing.get_context("fork")
    with context.Pool(processes, _begin, (cases, subjects)) as pool:
        for case, (found, asked, seconds) in zip(cases, pool.imap(_examined, range(len(cases))), strict=True):
            outcome = Outcome(case, found, seconds, asked)
            mark = "ok  " if outcome.right else "    "
            print(f"{mark}{seconds:6.1f} s  {case.name:60} {', '.join(outcome.causes[:3]) or 'healthy'}", flush=True)
            outcomes.append(outcome)
    return outcomes


_cases_here: list[Planted] = []


def _begin(cases: list[Planted], subjects: Subjects) -> None:
    _cases_here[:] = cases
    subjects.root /= str(os.getpid())
    subjects.root.mkdir()


def _examined(number: int) -> tuple[Diagnosis, list[Asked], float]:
    start = time.monotonic()
    return *_cases_here[number].examine(), time.monotonic() - start


if __name__ == "__main__":
    sys.exit(main())

"""How often is the doctor right where nobody told it what to expect?

    python -m benchmarks.doctor.unseen [--part NAME ...] [--limit N | --sample N --seed S] [--jobs N] [--json OUT]

run from the repository. `--limit` takes so many cases of each part, spread over it; `--sample` draws so many at random
of all parts that are named. Prints what was said of each, then the numbers, with the range in which a whole run's lie
in 95 of 100 samples (Wilson's interval).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import sys
import tempfile
import time
import warnings
from pathlib import Path

from . import frozen
from .drawing import all_cases
from .evidence import MAKERS
from .examining import Outcome, examine, prepare
from .numbers import print_numbers
from .voices import Unseen


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", nargs="*", default=[], choices=sorted(MAKERS))
    parser.add_argument("--only", default="", help="cases whose names hold this")
    parser.add_argument("--limit", type=int, help="cases of each part")
    parser.add_argument("--sample", type=int, help="so many cases of all parts together, drawn at random")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write every outcome")
    parser.add_argument("--freeze", action="store_true", help="draw all cases anew and write frozen.json")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as directory:
        subjects = Unseen(Path(directory))
        if options.freeze:
            frozen.write(list(all_cases(subjects)))
            return 0
        chosen = [case for case in frozen.cases(tuple(options.part)) if options.only in case.name]
        chosen = _some_of_each(chosen, options.limit)
        if options.sample and options.sample < len(chosen):
            chosen = random.Random(options.seed).sample(chosen, options.sample)
        outcomes = _outcomes(chosen, subjects, options.jobs)
    if options.json:
        options.json.write_text(json.dumps([outcome.as_dict() for outcome in outcomes], indent=1))
    print_numbers(outcomes)
    return 0


def _some_of_each(cases: list[frozen.Case], limit: int | None) -> list[frozen.Case]:
    chosen = []
    for part in dict.fromkeys(case.part for case in cases):
        own = [case for case in cases if case.part == part]
        n = min(limit or len(own), len(own))
        chosen += [own[i * len(own) // n] for i in range(n)]
    return chosen


def _outcomes(cases: list[frozen.Case], subjects: Unseen, jobs: int) -> list[Outcome]:
    """Each process makes what a case needs, in a directory of its own."""
    start, outcomes = time.monotonic(), []
    subjects.make_files()
    with multiprocessing.get_context("fork").Pool(jobs, prepare, (subjects,)) as pool:
        for outcome in pool.imap(examine, cases):
            print(outcome.line(), flush=True)
            outcomes.append(outcome)
    print(f"\n{len(cases)} cases, {time.monotonic() - start:.0f} seconds with {jobs} jobs")
    return outcomes


if __name__ == "__main__":
    sys.exit(main())

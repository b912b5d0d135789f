"""How often is the doctor right where nobody told it what to expect?

    python -m benchmarks.doctor.unseen [--part NAME ...] [--limit N | --sample N --seed S] [--minutes N] [--jobs N]
    python -m benchmarks.doctor.unseen --anew WORD --limit N [--part NAME ...]

run from the repository. `--limit` takes so many cases of each part, spread over it; `--sample` draws so many at random
of all parts that are named; `--anew` draws other cases than those that are frozen, with that word for a seed;
`--minutes` begins no case after that time, and says of how many the numbers are. Outcomes are kept in a file, so that
the same command goes on where it was stopped, until the doctor's code changes. Prints what was said of each, then the
numbers, with the range in which a whole run's lie in 95 of 100 samples (Wilson's interval).
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
from collections.abc import Iterator
from pathlib import Path
from threading import BoundedSemaphore

from . import frozen
from .drawing import all_cases, drawn_anew
from .evidence import MAKERS
from .examining import Outcome, examine, prepare
from .numbers import print_numbers
from .results import Results, usual_file
from .voices import Unseen

_ANEW = 30  # cases of each part, if nothing else is said


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", nargs="*", default=[], choices=sorted(MAKERS))
    parser.add_argument("--only", default="", help="cases whose names hold this")
    parser.add_argument("--limit", type=int, help="cases of each part")
    parser.add_argument("--sample", type=int, help="so many cases of all parts together, drawn at random")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    parser.add_argument("--anew", metavar="WORD", help="draw other cases, --limit of each part, by this word as a seed")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no case after that")
    parser.add_argument("--results", type=Path, default=usual_file(), help="where outcomes are kept, one a line")
    parser.add_argument("--json", type=Path, help="write every outcome")
    parser.add_argument("--freeze", action="store_true", help="draw all cases anew and write frozen.json")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as directory:
        subjects = Unseen(Path(directory))
        if options.freeze:
            frozen.write(list(all_cases(subjects)))
            return 0
        parts = tuple(options.part)
        if options.anew:
            subjects.make_files()
            drawn = list(drawn_anew(subjects, options.anew, parts, options.limit or _ANEW))
        else:
            drawn = frozen.cases(parts)
        chosen = _some_of_each([case for case in drawn if options.only in case.name], options.limit)
        if options.sample and options.sample < len(chosen):
            chosen = random.Random(options.seed).sample(chosen, options.sample)
        outcomes = _outcomes(chosen, subjects, options.jobs, options.minutes * 60, Results(options.results))
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


def _outcomes(cases: list[frozen.Case], subjects: Unseen, jobs: int, seconds: float, results: Results) -> list[Outcome]:
    """Each process makes what a case needs, in a directory of its own."""
    start = time.monotonic()
    kept = [outcome for case in cases if (outcome := results.of(case))]
    left = [case for case in cases if results.of(case) is None]
    for outcome in kept:
        print(outcome.line())
    subjects.make_files()
    with multiprocessing.get_context("fork").Pool(jobs, prepare, (subjects,)) as pool:
        places = BoundedSemaphore(jobs)
        examined = []
        for outcome in pool.imap_unordered(examine, _in_time(left, start + seconds, places)):
            places.release()
            print(outcome.line(), flush=True)
            results.add(outcome)
            examined.append(outcome)
    took = time.monotonic() - start
    print(
        f"\n{len(kept) + len(examined)} of {len(cases)} cases, {len(kept)} kept from before, {took:.0f} s, {jobs} jobs"
    )
    return kept + examined


def _in_time(cases: list[frozen.Case], end: float, places: BoundedSemaphore) -> Iterator[frozen.Case]:
    """Cases as processes get free for them, until the time is up: a pool would take them all at once."""
    for case in cases:
        places.acquire()
        if time.monotonic() > end:
            return
        yield case


if __name__ == "__main__":
    sys.exit(main())

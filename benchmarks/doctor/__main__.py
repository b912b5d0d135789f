"""How often is the doctor right? Plants faults, asks it, and prints a confusion table.

    python benchmarks/doctor [--voice FILE] [--only WORD] [--json OUT]

Faults are planted in random checkpoints of several geometries and in the built-in voice (or the speech file given);
foreign audio and tensor dumps are made with transformers, and left out where that is not installed. No generator
shares code with the check that finds its fault. Ends with status 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import json
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
from planted import Planted  # noqa: E402
from subjects import Subjects  # noqa: E402
from table import Outcome, print_table  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--voice", type=Path, help="a trained speech file; default: the built-in voice, if there is one"
    )
    parser.add_argument("--only", default="", help="cases whose names hold this word")
    parser.add_argument("--json", type=Path, help="write every outcome")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as directory:
        subjects = Subjects(Path(directory), options.voice)
        cases = [case for case in _cases(subjects) if options.only in case.name]
        outcomes = [_examined(case) for case in cases]
    if options.json:
        options.json.write_text(json.dumps([outcome.as_dict() for outcome in outcomes], indent=1))
    return print_table(outcomes)


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


def _examined(case: Planted) -> Outcome:
    start = time.monotonic()
    outcome = Outcome(case, case.examine(), time.monotonic() - start)
    mark = "ok  " if outcome.right else "    "
    print(f"{mark}{outcome.seconds:6.1f} s  {case.name:60} {', '.join(outcome.causes[:3]) or 'healthy'}", flush=True)
    return outcome


if __name__ == "__main__":
    sys.exit(main())

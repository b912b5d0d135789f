"""How long `import omniggml` takes, against NumPy and soundfile alone: python benchmarks/import_time.py

Each statement runs in processes of its own, in turn, and the processor's time is counted, so that the ratio holds on a
busy machine; the goal is a ratio of at most 1.3.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

BASE = "import numpy, soundfile"
OURS = "import omniggml"


def seconds(statement: str) -> float:
    """Of the processor, in user and kernel together."""
    child = subprocess.Popen([sys.executable, "-c", statement])
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{statement!r} failed")
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=15, metavar="N")
    options = parser.parse_args()
    for statement in (BASE, OURS):  # what the disk has to give, it gives now
        seconds(statement)
    pairs = [(seconds(BASE), seconds(OURS)) for _ in range(options.repetitions)]
    base, ours = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(b / a for a, b in pairs)
    modules = subprocess.run(
        [sys.executable, "-c", f"import sys; {OURS}; print(sum(n.split('.')[0] == 'omniggml' for n in sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    print(f"{BASE}: {base:.3f} s; {OURS}: {ours:.3f} s ({modules} modules); ratio {ratio:.2f}")


if __name__ == "__main__":
    main()

"""How much longer a speech takes while other programs have all cores: `python benchmarks/busy_machine.py [PYTHON...]`.

With each interpreter's omniggml the built-in voice speaks 60 frames several times on the machine as it is, then beside
one spinning process of the same priority for each CPU. The median of each, in milliseconds, and the ratio.
"""

from __future__ import annotations

import subprocess
import sys

_CHILD = r"""
import os, statistics, subprocess, sys, time
import omniggml

model = omniggml.load()

def median(times=15):
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        model.speak("The quick brown fox jumps over the lazy dog, and then some more.", seed=1, max_frames=60)
        taken.append((time.perf_counter() - start) * 1000)
    return statistics.median(taken)

median(3)
quiet = median()
others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(len(os.sched_getaffinity(0)))]
try:
    time.sleep(0.5)
    busy = median()
finally:
    for other in others:
        other.kill()
print(f"quiet {quiet:.0f} ms, busy {busy:.0f} ms: {busy / quiet:.2f} times")
"""


def main() -> None:
    for python in sys.argv[1:] or [sys.executable]:
        done = subprocess.run([python, "-c", _CHILD], capture_output=True, text=True, check=False)
        print(python, done.stdout.strip() or done.stderr)


if __name__ == "__main__":
    main()

"""Threads that live with others: a team keeps step, shrinks on a busy machine, begins anew after a fork, and lets a
process end whatever it is at; as many of them as the process may use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import Files
from native_module import internals
from processes import ROUNDS, SANITIZED

linux = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")


def run(code: str, *arguments: object, timeout: float = 120) -> str:
    """What a process of its own printed; none may hang, abort or complain."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    assert (done.returncode, done.stderr) == (0, ""), (done.returncode, done.stderr)
    return done.stdout


# --- a team -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_threads", [1, 2, 3, 4, 17])
def test_a_team_keeps_step(n_threads: int) -> None:
    size, firsts, missed = internals().walk_together(n_threads, 300)
    assert 1 <= size <= n_threads
    assert (firsts, missed) == (300, 0)


MILLISECOND = 1_000_000


class Machine:
    """Reports to a crowd as teams would whose useful time, of each millisecond, is `useful(size)` milliseconds."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.now = 0
        self.crowd = internals().Crowd()

    def work(self, milliseconds: int, useful: dict[int, float]) -> list[int]:
        sizes = []
        for _ in range(milliseconds):
            size = self.crowd.team_for(self.n)
            sizes.append(size)
            self.now += MILLISECOND
            self.crowd.report(self.n, size, self.now, MILLISECOND, int(useful[size] * MILLISECOND))
        return sizes


QUIET = {1: 1.0, 2: 1.9, 4: 3.6, 8: 7.0}
CROWDED = {1: 0.6, 2: 0.15, 4: 0.2, 8: 0.3}


def test_a_team_is_as_large_as_asked_for_on_a_quiet_machine() -> None:
    assert set(Machine(4).work(5000, QUIET)) == {4}


@pytest.mark.parametrize("n", [2, 8])
def test_a_team_shrinks_where_fewer_get_more_done_and_grows_again(n: int) -> None:
    machine = Machine(n)
    machine.work(100, QUIET)
    sizes = machine.work(10_000, CROWDED)
    assert sizes.index(1) < 250
    assert sizes[-5000:].count(1) > 4500, "tries of more should become rare"
    assert machine.work(10_000, QUIET)[-1] == n


def test_a_team_stays_where_fewer_get_less_done() -> None:
    """Half of the time is lost, but one thread alone would have no more of the core than each of two has."""
    sizes = Machine(2).work(10_000, {1: 0.5, 2: 0.9})
    assert sizes[-5000:].count(2) > 4500


def test_measuring_is_rare() -> None:
    crowd = internals().Crowd()
    assert sum(crowd.due(MILLISECOND + 10_000 * i) for i in range(1000)) <= 51


# --- how many ---------------------------------------------------------------------------------------------------------


def tree(root: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "33 32 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "34 32 0:30 /docker/a /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
)


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, 0),
        ({"proc/self/mountinfo": "nonsense\n\n - \n", "proc/self/cgroup": "::\n:\n"}, 0),
        ({"proc/self/mountinfo": V2, "proc/self/cgroup": "0::/\n"}, 0),
        (
            {"proc/self/mountinfo": V2, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"},
            0,
        ),
        (
            {"proc/self/mountinfo": V2, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "250000 100000\n"},
            2.5,
        ),
        (
            {
                "proc/self/mountinfo": V2,
                "proc/self/cgroup": "0::/user.slice/app\n",
                "sys/fs/cgroup/user.slice/cpu.max": "150000 100000\n",
                "sys/fs/cgroup/user.slice/app/cpu.max": "400000 100000\n",
            },
            1.5,
        ),
        (
            {
                "proc/self/mountinfo": V2,
                "proc/self/cgroup": "0::/../elsewhere\n",
                "sys/fs/cgroup/cpu.max": "300000 100000\n",
            },
            3,
        ),
        (
            {
                "proc/self/mountinfo": V1,
                "proc/self/cgroup": "5:memory:/docker/a\n4:cpu,cpuacct:/docker/a/b\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/cpu,cpuacct/b/cpu.cfs_quota_us": "50000\n",
                "sys/fs/cgroup/cpu,cpuacct/b/cpu.cfs_period_us": "100000\n",
            },
            0.5,
        ),
    ],
)
def test_the_quota_of_control_groups(tmp_path: Path, files: dict[str, str], quota: float) -> None:
    assert internals().cpu_quota(tree(tmp_path, files)) == quota


@linux
def test_as_many_threads_as_the_affinity_has_cpus() -> None:
    code = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from omniggml import _native
print(_native.usable_cpus())
"""
    assert run(code) == "1\n"


@linux
def test_no_openmp_library_is_loaded(tiny_files: Files) -> None:
    code = """
import sys, omniggml
omniggml.load(sys.argv[1], thinker=sys.argv[2], n_threads=2).speak("hello", max_frames=3)
print([line for line in open("/proc/self/maps") if "gomp" in line or "libomp" in line])
"""
    assert run(code, *tiny_files) == "[]\n"


# --- after a fork -----------------------------------------------------------------------------------------------------

# The parent has spoken, so that its threads are there; each child loads, speaks with the parent's model, and decodes.
PRELOADED = """
import multiprocessing, os, sys
from concurrent.futures import ProcessPoolExecutor
import numpy as np
import omniggml

speech, thinker, n_threads, way = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
model = omniggml.load(speech, thinker=thinker, n_threads=n_threads)
codes = np.zeros((4, 20), np.int32)

def work(seed):
    again = omniggml.load(speech, thinker=thinker, n_threads=n_threads)
    return [one.tobytes() for m in (model, again)
            for one in (m.speak("hello world", seed=seed, max_frames=6).samples, m.code2wav(codes))]

expected = [work(seed) for seed in (1, 2, 3)]
if way == "fork":
    for seed in (1, 2, 3):
        child = os.fork()
        if child == 0:
            os._exit(0 if work(seed) == expected[seed - 1] else 1)
        assert os.waitpid(child, 0)[1] == 0
elif way == "pool":
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(work, (1, 2, 3)) == expected
else:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
        assert list(pool.map(work, (1, 2, 3))) == expected
assert work(2) == expected[1]
print("done")
"""


@forks
@pytest.mark.parametrize("way", ["fork", "pool", "executor"])
@pytest.mark.parametrize("n_threads", [1, 2, 4])
def test_a_forked_child_speaks(tiny_files: Files, n_threads: int, way: str) -> None:
    for _ in range(ROUNDS):
        assert run(PRELOADED, *tiny_files, n_threads, way) == "done\n"


@forks
@pytest.mark.skipif(SANITIZED, reason="the sanitizer's allocator is locked in the child")
def test_a_child_forked_while_others_speak_speaks(tiny_files: Files) -> None:
    code = """
import os, sys, threading
import omniggml
model = omniggml.load(sys.argv[1], thinker=sys.argv[2], n_threads=2)
expected = model.speak("hello world", seed=1, max_frames=6).samples.tobytes()
stop = threading.Event()
def speak():
    while not stop.is_set():
        model.speak("and on and on", max_frames=4)
others = [threading.Thread(target=speak) for _ in range(2)]
for other in others:
    other.start()
for _ in range(20):
    child = os.fork()
    if child == 0:
        os._exit(0 if model.speak("hello world", seed=1, max_frames=6).samples.tobytes() == expected else 1)
    assert os.waitpid(child, 0)[1] == 0
stop.set()
for other in others:
    other.join()
print("done")
"""
    assert run(code, *tiny_files) == "done\n"


# --- the end of a process ---------------------------------------------------------------------------------------------

AT_THE_END = """
import sys, threading, time
import omniggml
model = omniggml.load(sys.argv[1], thinker=sys.argv[2], n_threads=2)
how = sys.argv[3]

def speak():
    while True:
        if how == "thinking":
            model.generate_text([1, 2, 3], omniggml.TextOptions(max_tokens=5))
        else:
            model.speak("on and on", max_frames=3)

if how == "stream":
    for piece in model.stream("on and on", max_frames=50, chunk_frames=1):
        print("done", flush=True)
        sys.exit()
for _ in range(2):
    threading.Thread(target=speak, daemon=True).start()
time.sleep(float(sys.argv[4]))
print("done", flush=True)
"""


@pytest.mark.parametrize("how", ["speaking", "thinking", "stream"])
@pytest.mark.parametrize("seconds", [0.02, 0.05, 0.1])
def test_a_process_ends_while_daemon_threads_speak(tiny_files: Files, how: str, seconds: float) -> None:
    for _ in range(ROUNDS):
        assert run(AT_THE_END, *tiny_files, how, seconds) == "done\n"

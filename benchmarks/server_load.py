"""How a server bears many clients at once, beside the engine alone.

    python benchmarks/server_load.py                                # the built-in voice
    python benchmarks/server_load.py --make real --max-frames 25    # the published geometry with random weights

Each client asks for one speech after another, as samples, on connections of its own. Throughput is seconds of audio a
second; first audio is from the request to the first samples, of all requests; the slowest client is how long it took
over how long the mean client took: 1 is perfectly fair. The engine's rows are in one process, without HTTP.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, quantiles

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import omniggml
from omniggml.benchmark.made_model import SIZES, make_model

TEXTS = (
    "The dog runs in the garden.",
    "Two cats sleep on the warm floor.",
    "She reads a long book by the window.",
    "It is warm today and the sky is blue.",
    "We eat bread with butter in the morning.",
)
BYTES_A_SECOND = 48000


@dataclass
class Measured:
    """Of one run: first audio of each request, seconds that each client took, bytes of samples, seconds in all."""

    first: list[float] = field(default_factory=list)
    clients: list[float] = field(default_factory=list)
    audio: float = 0.0
    wall: float = 0.0

    def row(self, name: str) -> str:
        p50, p95 = percentiles(self.first)
        slowest = max(self.clients) / mean(self.clients)
        return f"| {name} | {self.audio / self.wall:.2f} | {1000 * p50:.0f} | {1000 * p95:.0f} | {slowest:.2f} |"


def percentiles(values: list[float]) -> tuple[float, float]:
    """The median, and what 95 of 100 stay below."""
    if len(values) < 2:
        return values[0], values[0]
    cuts = quantiles(values, n=20, method="inclusive")
    return cuts[9], cuts[18]


def over_http(port: int, n_clients: int, rounds: int) -> Measured:
    """So many clients, each asking for `rounds` speeches."""
    measured, lock, start = Measured(), threading.Lock(), threading.Barrier(n_clients + 1)
    failures: list[BaseException] = []

    def client(number: int) -> None:
        start.wait()
        begun = time.perf_counter()
        try:
            for turn in range(rounds):
                first, size = speech(port, TEXTS[(number + turn) % len(TEXTS)])
                with lock:
                    measured.first.append(first)
                    measured.audio += size / BYTES_A_SECOND
        except BaseException as error:
            failures.append(error)
        with lock:
            measured.clients.append(time.perf_counter() - begun)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(n_clients)]
    for thread in threads:
        thread.start()
    start.wait()
    begun = time.perf_counter()
    for thread in threads:
        thread.join()
    measured.wall = time.perf_counter() - begun
    if failures:
        raise failures[0]
    return measured


def speech(port: int, text: str) -> tuple[float, int]:
    """Seconds to the first samples, and bytes in all."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=3600)
    begun = time.perf_counter()
    body = json.dumps({"input": text, "response_format": "pcm"})
    connection.request("POST", "/v1/audio/speech", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    if answer.status != 200:
        raise RuntimeError(f"{answer.status}: {answer.read(500)!r}")
    size = len(answer.read1(65536))
    first = time.perf_counter() - begun
    while piece := answer.read1(65536):
        size += len(piece)
    connection.close()
    return first, size


def one_after_another(model: omniggml.Model, n_speeches: int, max_frames: int | None) -> Measured:
    """`Model.stream`, a speech at a time."""
    measured = Measured()
    for number in range(n_speeches):
        begun, first = time.perf_counter(), 0.0
        for piece in model.stream(TEXTS[number % len(TEXTS)], max_frames=max_frames):
            first = first or time.perf_counter() - begun
            measured.audio += piece.duration
        measured.first.append(first)
        measured.wall += time.perf_counter() - begun
    measured.clients.append(measured.wall)
    return measured


def engine_alone(model: omniggml.Model, slots: int, n_speeches: int, max_frames: int | None) -> Measured:
    """All speeches begun at once on an engine with so many slots, each read in a thread."""
    measured, lock = Measured(), threading.Lock()
    with model.engine(slots=slots, queue=n_speeches) as engine:
        begun = time.perf_counter()

        def listen(number: int) -> None:
            first = 0.0
            audio = 0.0
            for piece in engine.begin(TEXTS[number % len(TEXTS)], max_frames=max_frames):
                first = first or time.perf_counter() - begun
                audio += piece.duration
            with lock:
                measured.first.append(first)
                measured.audio += audio
                measured.clients.append(time.perf_counter() - begun)

        threads = [threading.Thread(target=listen, args=(number,)) for number in range(n_speeches)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        measured.wall = time.perf_counter() - begun
    return measured


def serve(arguments: list[str], log: Path) -> tuple[subprocess.Popen[bytes], int]:
    """A server of its own process, once it is ready, and its port."""
    command = [sys.executable, "-m", "omniggml", "serve", "--port", "0", "--queue", "1000", *arguments]
    with log.open("wb") as file:
        process = subprocess.Popen(command, stderr=file)
    while not (found := re.search(r"serving http://127\.0\.0\.1:(\d+)\n", log.read_text())):
        if process.poll() is not None:
            raise RuntimeError(log.read_text())
        time.sleep(0.05)
    return process, int(found[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-m", "--model", metavar="FILE", help="default: the built-in voice")
    parser.add_argument("--make", choices=SIZES, help="random weights")
    parser.add_argument("--threads", type=int, default=0, metavar="N")
    parser.add_argument("--slots", type=int, default=4, metavar="N")
    parser.add_argument("--clients", default="1,4,16,64", metavar="N,N")
    parser.add_argument("--speeches", type=int, default=64, metavar="N", help="at least, a row (default 64)")
    parser.add_argument("--max-frames", type=int, metavar="N")
    args = parser.parse_args()

    path = str(make_model(args.make)) if args.make else args.model
    model = omniggml.load(path, thinker=False, n_threads=args.threads)
    model.speak("a", max_frames=1)
    shown = args.make or path or "built-in voice"
    print(f"{shown}, {args.slots} slots, {args.threads or os.cpu_count()} threads, {args.speeches} speeches a row\n")
    print("| | audio s / s | first audio p50 ms | p95 ms | slowest client |\n|---|---|---|---|---|")
    print(one_after_another(model, args.speeches, args.max_frames).row("`Model.stream`, one after another"), flush=True)
    print(engine_alone(model, args.slots, args.speeches, args.max_frames).row("engine, all at once"), flush=True)

    given = ["--slots", str(args.slots), "--threads", str(args.threads), "--no-thinker"]
    given += ["--max-frames", str(args.max_frames)] if args.max_frames else []
    given += ["-m", path] if path else []
    with tempfile.TemporaryDirectory() as directory:
        server, port = serve(given, Path(directory) / "log")
        try:
            for n_clients in map(int, args.clients.split(",")):
                rounds = -(-args.speeches // n_clients)
                name = f"HTTP, {n_clients} client{'s' if n_clients > 1 else ''}"
                print(over_http(port, n_clients, rounds).row(name), flush=True)
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()

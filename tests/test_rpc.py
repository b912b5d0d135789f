"""A device served over the network by ggml's RPC server gives what the CPU gives.

Needs a build with RPC; run alone with

    CMAKE_ARGS="-DGGML_RPC=ON" pip install '.[test]' && pytest tests/test_rpc.py
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import omniggml
from conftest import Files
from sentences import one_sentence
from worker import Worker

SERVER = Path(omniggml.__file__).parent / "bin" / "omniggml-rpc-server"

pytestmark = pytest.mark.skipif(not SERVER.exists(), reason="this build has no RPC (CMAKE_ARGS=-DGGML_RPC=ON)")

DEADLINE = 60.0

COMPARE = """
import numpy as np
here = omniggml.load(speech, thinker=thinker, device="cpu", n_threads=1)
there = omniggml.load(speech, thinker=thinker, device=endpoint, n_threads=1)
options = {"max_frames": 20, "chunk_frames": 7, **options}
a, b = here.speak("hello world", **options), there.speak("hello world", **options)
result = [bool((a.codes == b.codes).all()), a.codes.shape[1], float(abs(a.samples - b.samples).max())]
"""


def free_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Server:
    """The server on a free port of the loopback interface, lending the CPU. `closed`: streams that it is started
    without, as a shell says it."""

    def __init__(self, closed: str = "") -> None:
        self.port = free_port()
        self.endpoint = f"127.0.0.1:{self.port}"
        self.process = subprocess.Popen(
            ["sh", "-c", f'exec "$@" {closed}', "sh", str(SERVER), str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + DEADLINE
        while not self._listens():
            assert self.process.poll() is None and time.monotonic() < deadline, "the server did not start"
            time.sleep(0.1)

    def _listens(self) -> bool:
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.stop()


@pytest.fixture
def client() -> Iterator[Worker]:
    """A process of its own: the server serves one client at a time, for as long as that lives."""
    process = Worker()
    yield process
    process.close()


@pytest.mark.parametrize("options", [{"greedy": True}, {"seed": 5}], ids=["greedy", "sampled"])
def test_speaks_as_the_cpu_does(server: Server, client: Worker, tiny_files: Files, options: dict[str, object]) -> None:
    outcome = client.run(
        COMPARE,
        speech=str(tiny_files.speech),
        thinker=str(tiny_files.thinker),
        endpoint=server.endpoint,
        options=options,
    )
    assert outcome.error == "", outcome
    same, n_frames, difference = outcome.value
    assert same and n_frames == 20 and difference <= 1e-5


def test_answers_as_the_cpu_does(server: Server, client: Worker, tiny_files: Files) -> None:
    outcome = client.run(
        """
models = [omniggml.load(speech, thinker=thinker, device=device, n_threads=1) for device in ("cpu", endpoint)]
tokens = [model.generate_text([1, 2, 3], omniggml.TextOptions(max_tokens=8, greedy=True))[0] for model in models]
logits = [model.thinker(list(range(50))).logits for model in models]
result = [tokens[0] == tokens[1], float(abs(logits[0] - logits[1]).max())]
""",
        speech=str(tiny_files.speech),
        thinker=str(tiny_files.thinker),
        endpoint=server.endpoint,
    )
    assert outcome.error == "", outcome
    assert outcome.value[0] and outcome.value[1] <= 1e-3


def test_a_second_model_and_probes(server: Server, client: Worker, tiny_files: Files) -> None:
    outcome = client.run(
        """
models = [omniggml.load(speech, device=device, n_threads=1) for device in (endpoint, endpoint, "cpu")]
codes = [[i % 64 for i in range(40)]] * 4
seen = []
for model in models:
    with model.probe("code2wav.pre_transformer.layers.1", "code2wav") as reading:
        model.code2wav(codes, chunk_frames=9)
    seen.append({name: reading[name] for name in reading})
result = [float(abs(seen[i][name] - seen[2][name]).max()) for i in (0, 1) for name in seen[2]]
""",
        speech=str(tiny_files.speech),
        endpoint=server.endpoint,
    )
    assert outcome.error == "", outcome
    assert len(outcome.value) == 4 and max(outcome.value) <= 1e-4


FORKED = """
import gc, os, time
model = omniggml.load(speech, device=endpoint, n_threads=1)
before = model.speak("hello", max_frames=4, greedy=True)
attempts = {
    "speak": lambda: model.speak("hello", max_frames=4),
    "state": lambda: model.code2wav(before.codes),
    "load": lambda: omniggml.load(speech, device=endpoint),
    "devices": omniggml.devices,
    "cpu": lambda: omniggml.load(speech, device="cpu", n_threads=1).speak("hello", max_frames=4, greedy=True).codes,
}
reading, writing = os.pipe()
child = os.fork()
if child == 0:
    said = {}
    for name, attempt in attempts.items():
        try:
            value = attempt()
            said[name] = ["", name != "cpu" or bool((value == before.codes).all())]
        except Exception as error:
            said[name] = [type(error).__name__, str(error)]
    del model, attempts
    gc.collect()
    os.write(writing, json.dumps(said).encode())
    os._exit(0)
os.close(writing)
said = json.loads(os.read(reading, 1 << 16))
after = model.speak("hello", max_frames=4, greedy=True)
result = [said, os.waitpid(child, 0)[1], bool((after.samples == before.samples).all())]
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_after_a_fork(server: Server, client: Worker, tiny_files: Files) -> None:
    """What drivers and connections of the parent's would do in the child is to end it. The CPU speaks there."""
    outcome = client.run("import json\n" + FORKED, speech=str(tiny_files.speech), endpoint=server.endpoint)
    assert outcome.error == "", outcome
    said, status, same = outcome.value
    assert status == 0 and same
    assert said.pop("cpu") == ["", True]
    for name, (error, message) in said.items():
        if name == "devices" and not error:
            continue  # a server is no device of this machine's
        assert error == "InputError", (name, error, message)
        one_sentence(message, "forked")


def test_the_next_client_is_served(server: Server, tiny_files: Files) -> None:
    for _ in range(2):
        client = Worker()
        outcome = client.run(
            "omniggml.load(speech, device=endpoint).speak('a', max_frames=2)",
            speech=str(tiny_files.speech),
            endpoint=server.endpoint,
        )
        client.close()
        assert outcome.error == "", outcome


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_a_server_without_streams(closed: str, client: Worker, tiny_files: Files) -> None:
    """What it prints of a connection doesn't get into the connection."""
    server = Server(closed)
    try:
        outcome = client.run(
            "result = len(omniggml.load(speech, device=endpoint).speak('a', max_frames=2).samples)",
            speech=str(tiny_files.speech),
            endpoint=server.endpoint,
        )
        streams = [str(Path(f"/proc/{server.process.pid}/fd/{number}").readlink()) for number in range(3)]
    finally:
        server.stop()
    assert outcome.error == "" and outcome.value > 0, outcome
    assert not any(stream.startswith("socket:") for stream in streams), streams


def test_nobody_listens(client: Worker, tiny_files: Files) -> None:
    endpoint = f"127.0.0.1:{free_port()}"
    for _ in range(2):
        outcome = client.run("omniggml.load(speech, device=endpoint)", speech=str(tiny_files.speech), endpoint=endpoint)
        assert outcome.error == "InputError", outcome
        one_sentence(outcome.message, endpoint)


def test_somebody_else_listens(client: Worker, tiny_files: Files) -> None:
    """A server that hangs up at once, as one of another protocol does."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        endpoint = f"127.0.0.1:{listener.getsockname()[1]}"

        def hang_up() -> None:
            while True:
                try:
                    listener.accept()[0].close()
                except OSError:
                    return

        threading.Thread(target=hang_up, daemon=True).start()
        outcome = client.run("omniggml.load(speech, device=endpoint)", speech=str(tiny_files.speech), endpoint=endpoint)
    assert outcome.error == "InputError", outcome
    one_sentence(outcome.message, endpoint)


def test_the_server_dies(server: Server, tiny_files: Files) -> None:
    """ggml's client can't go on, and ends the process, as docs/devices.md says: after one line, and without a hang."""
    code = """
import sys, omniggml
model = omniggml.load(sys.argv[1], device=sys.argv[2], n_threads=1)
for piece in model.stream("hello world", max_frames=4000, chunk_frames=1):
    print(piece.codes.shape[1], flush=True)
"""
    arguments = [sys.executable, "-c", code, str(tiny_files.speech), server.endpoint]
    speaking = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert speaking.stdout is not None and speaking.stdout.readline() == "1\n"
    server.stop()
    _, errors = speaking.communicate(timeout=DEADLINE)
    assert speaking.returncode not in (0, None)
    assert errors.startswith("omniggml: "), errors
    one_sentence(errors.strip())


def test_a_program_outlives_its_server(server: Server, tiny_files: Files) -> None:
    """As docs/devices.md shows it: the child dies, what it spoke until then was heard."""
    command = [
        sys.executable,
        "-m",
        "omniggml",
        "speak",
        "hello world",
        "-m",
        str(tiny_files.speech),
        "--raw",
        "-o",
        "-",
    ]
    limits = ["--max-frames", "4000", "--chunk-frames", "1", "--threads", "1"]
    with subprocess.Popen(
        [*command, *limits, "--device", server.endpoint, "--raw", "-o", "-"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None and len(child.stdout.read(200)) == 200
        server.stop()
        child.communicate(timeout=DEADLINE)
    assert child.returncode not in (0, None)

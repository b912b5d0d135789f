"""`omniggml serve --ray` on a cluster of this machine."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("ray")
pytest.importorskip("fastapi")

import omniggml
from omniggml.server.encoders import pcm16
from processes import below

TEXT = "the dog runs in the garden."


@pytest.mark.slow
def test_two_replicas_of_which_one_is_killed() -> None:
    """Both answer with the model's own samples; when one is killed the other answers on, and it comes back."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "omniggml", "serve", "--port", str(port), "--ray", "local", "--replicas", "2"]
    process = subprocess.Popen([*command, "--threads", "1"], stderr=subprocess.PIPE, text=True)
    expected = pcm16(omniggml.load(n_threads=1).speak(TEXT).samples)

    def speech() -> bytes:
        body = json.dumps({"input": TEXT, "response_format": "pcm"}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/audio/speech", body, headers)
        end = time.monotonic() + 120
        while True:
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return bytes(answer.read())
            except (urllib.error.URLError, ConnectionError):  # it loads, or has just been killed
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)

    try:
        assert process.stderr is not None
        assert any("serving" in line for line in process.stderr)
        with ThreadPoolExecutor(4) as threads:
            assert {*threads.map(lambda _: speech(), range(8))} == {expected}
            replicas = below(process.pid, b"ServeReplica")
            assert len(replicas) == 2
            os.kill(replicas[0], signal.SIGKILL)
            assert {*threads.map(lambda _: speech(), range(8))} == {expected}
        process.send_signal(signal.SIGTERM)
        assert process.wait(90) == 0
    finally:
        process.kill()
        process.communicate()

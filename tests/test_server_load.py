"""Many at once: who is refused, who waits, and that nobody is slowed by those who are slow or have gone."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

pytest.importorskip("fastapi")

import omniggml
from conftest import Files
from gguf_edit import GgufEdit
from omniggml.server.encoders import pcm16
from omniggml.spec.expected_tensors import TEXT_EMBEDDING
from processes import SANITIZED
from served import Served, served

TEXT = "the dog runs in the garden."
WORDS = ["one", "two", "three", "four", "five", "six"]
LONG = " ".join([TEXT] * 60)
"""Spoken for so long that it is still being spoken when a test has done with it."""


@contextmanager
def begun(server: Served, text: str = LONG, key: str = "") -> Iterator[http.client.HTTPResponse]:
    """A speech of which nothing but the first samples was read; left in the middle."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    # A small window: what isn't read soon stays with the server.
    connection.sock = socket.socket()
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.sock.settimeout(60)
    connection.sock.connect(("127.0.0.1", server.port))
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    connection.request("POST", "/v1/audio/speech", json.dumps({"input": text, "response_format": "pcm"}), headers)
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    answer.read(100)
    try:
        yield answer
    finally:
        connection.close()


def eventually(condition: Callable[[], bool], seconds: float = 30) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def speech(server: Served, text: str = TEXT, **fields: str) -> bytes:
    answer = server.ask("/v1/audio/speech", {"input": text, "response_format": "pcm", **fields})
    assert answer.status == 200, answer.data
    return answer.data


def test_many_say_what_each_says_alone(voice: omniggml.Model) -> None:
    texts = [f"{TEXT} {'Two cats sleep. ' * number}".strip() for number in range(4)]
    alone = [pcm16(voice.speak(text).samples) for text in texts]
    with served(voice, slots=3) as server, ThreadPoolExecutor(12) as threads:
        assert list(threads.map(lambda text: speech(server, text), texts * 3)) == alone * 3


def test_a_full_queue_refuses(voice: omniggml.Model) -> None:
    with served(voice, slots=1, queue=0) as server:
        with begun(server):
            refused = server.ask("/v1/audio/speech", {"input": TEXT})
            assert refused.status == 429 and refused.json["error"]["type"] == "rate_limit_error"
            assert refused.json["error"]["code"] == "queue_full" and 1 <= int(refused.headers["retry-after"]) < 1000
            assert server.ask("/health").status == 200
        assert eventually(lambda: server.service.speeches == 0), "who has gone frees the slot"
        assert speech(server)
        assert b"omniggml_cancelled_total 1.0" in server.ask("/metrics").data


def test_a_key_has_its_share(voice: omniggml.Model) -> None:
    with served(voice, slots=3, per_key=1, api_keys=("first-key-1", "second-key-2")) as server, ExitStack() as stack:
        stack.enter_context(begun(server, key="first-key-1"))
        refused = server.ask("/v1/audio/speech", {"input": TEXT}, authorization="Bearer first-key-1")
        assert refused.status == 429 and refused.json["error"]["code"] == "key_limit"
        assert server.ask("/v1/audio/speech", {"input": TEXT}, authorization="Bearer second-key-2").status == 200


def test_slow_readers_stall_themselves_alone(voice: omniggml.Model) -> None:
    """Three of four slots belong to clients who don't read; the fourth goes on, and theirs are spoken no further than
    what is kept for them."""
    with served(voice, slots=4, queue=8) as server, ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(begun(server))
        assert [speech(server) for _ in range(3)] == [pcm16(voice.speak(TEXT).samples)] * 3
        frames = [spoken(server), spoken(server)]
        while frames[-1] != frames[-2]:
            time.sleep(0.5)
            frames.append(spoken(server))
        assert frames[-1] < 3 * 400, "they rest"


def spoken(server: Served) -> float:
    """Frames so far."""
    page = server.ask("/metrics").data.decode()
    return float(page.partition("\nomniggml_frames_total ")[2].split()[0])


def test_long_texts_hold_nobody_up(voice: omniggml.Model) -> None:
    """Every slot has one that goes on for long; a short one is answered between two sentences of theirs."""
    with served(voice, slots=2) as server, ThreadPoolExecutor(2) as threads:
        long = [threads.submit(speech, server, LONG) for _ in range(2)]
        assert eventually(lambda: server.service.speeches == 2 and spoken(server) > 0)
        assert speech(server) == pcm16(voice.speak(TEXT).samples)
        assert not any(one.done() for one in long)
        assert len({one.result() for one in long}) == 1


def test_who_does_not_read_is_given_up(voice: omniggml.Model) -> None:
    with served(voice, slots=1, queue=0, idle_seconds=1) as server, begun(server, LONG * 20):
        assert eventually(lambda: server.service.speeches == 0)
        assert speech(server)


def test_a_text_that_can_not_be_spoken_frees_its_place(voice: omniggml.Model) -> None:
    with served(voice, slots=1, queue=0) as server:
        for _ in range(3):
            assert server.ask("/v1/audio/speech", {"input": "  "}).status == 400
        assert speech(server) and server.service.speeches == 0


def test_a_speech_that_fails_fails_alone(tiny_files: Files, tmp_path: Path) -> None:
    """A word whose embedding is so large that its product isn't finite: who has it said is told, everybody else hears
    what they hear without it, and the server goes on."""
    edit = GgufEdit.read(tiny_files.speech)
    table, weight = edit.values(TEXT_EMBEDDING), edit.values("talker.text_projection.linear_fc1.weight")
    tokenizer = omniggml.load(tiny_files.speech, thinker=False).tokenizer
    worst = tokenizer.encode("seven")[-1]
    assert worst not in tokenizer.encode(" ".join(WORDS))
    table.reshape(tokenizer.vocab_size, -1)[worst] = 3e38
    edit.put(TEXT_EMBEDDING, table).put("talker.text_projection.linear_fc1.weight", 100 * weight)
    poisoned = omniggml.load(edit.write(tmp_path / "x.gguf"), thinker=False, n_threads=1)
    texts = [" ".join(WORDS[at:]) for at in range(len(WORDS))]
    alone = [pcm16(poisoned.speak(text, max_frames=40).samples) for text in texts]
    with served(poisoned, slots=3, max_frames=40) as server, ThreadPoolExecutor(8) as threads:
        bad = [threads.submit(failed, server, text) for text in ("seven", " ".join([*WORDS, "seven"])) * 4]
        assert list(threads.map(lambda text: speech(server, text), texts * 2)) == alone * 2
        assert {one.result() for one in bad} == {"NumericError"}
        assert server.ask("/health").json["status"] == "ready" and speech(server, texts[0]) == alone[0]
        assert b"omniggml_failed_total 8.0" in server.ask("/metrics").data


def failed(server: Served, text: str) -> str:
    """How a speech ended that could not be said: with an error in the place of an answer, or behind what was said."""
    answer = server.ask("/v1/audio/speech", {"input": text, "stream_format": "sse", "response_format": "pcm"})
    last = answer.json if answer.status == 500 else json.loads(answer.data.decode().split("\n\n")[-2][6:])
    return "NumericError" if "NaN or infinite" in last["error"]["message"] else str(last)


def test_it_takes_no_longer_than_it_may(voice: omniggml.Model) -> None:
    with served(voice, max_seconds=1) as server:
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            speech(server, LONG * 20)
        assert eventually(lambda: server.service.speeches == 0)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc")
@pytest.mark.skipif(SANITIZED, reason="the sanitizer's own malloc")
def test_large_blocks_are_given_back() -> None:
    """Also those that are smaller than one that was freed before."""
    program = """
import ctypes
from omniggml.server.serving import return_large_blocks

class Counts(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks",
                                                     "fsmblks", "uordblks", "fordblks", "keepcost")]

library = ctypes.CDLL(None)
if hasattr(library, "mallinfo2"):
    library.mallinfo2.restype = Counts
    library.malloc.restype = ctypes.c_void_p
    library.malloc.argtypes, library.free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]
    return_large_blocks()
    library.free(library.malloc(16 << 20))
    before = library.mallinfo2().hblkhd
    block = library.malloc(4 << 20)
    assert library.mallinfo2().hblkhd >= before + (4 << 20)
    library.free(block)
    assert library.mallinfo2().hblkhd == before
"""
    subprocess.run([sys.executable, "-c", program], check=True)

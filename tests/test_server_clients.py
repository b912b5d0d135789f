"""Real clients against a real port: the OpenAI SDK, curl, Wyoming, and requests as chat front ends send them."""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile

pytest.importorskip("fastapi")

import omniggml
from omniggml.server.encoders import pcm16
from processes import others_environment
from served import Served, served

CLIENTS = Path(__file__).parent / "data" / "clients"
TEXT = "the dog runs in the garden."


@pytest.fixture(scope="module")
def server(voice: omniggml.Model) -> Iterator[Served]:
    with served(voice, wyoming=True, slots=2) as running:
        yield running


@pytest.mark.parametrize("client", ["open_webui", "librechat", "sillytavern"])
def test_front_ends(server: Served, client: str) -> None:
    for request in json.loads((CLIENTS / f"{client}.json").read_text(encoding="utf-8")):
        answer = server.ask(request["path"], request.get("body"), **request["headers"])
        assert answer.status == 200, answer.data
        assert answer.headers["content-type"] == request["answer"]
        if request["answer"] == "audio/mpeg":
            samples, rate = soundfile.read(io.BytesIO(answer.data))
            assert rate == 24000 and len(samples) > 12000
        elif request["path"].endswith("voices"):
            assert all(set(one) >= {"id", "name"} for one in answer.json["voices"])


def test_openai_sdk(server: Served, voice: omniggml.Model) -> None:
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0)
    assert [one.id for one in client.models.list()] == ["omniggml"]
    answer = client.audio.speech.create(model="tts-1", voice="ethan", input=TEXT, response_format="wav")
    assert answer.content[44:] == pcm16(voice.speak(TEXT, speaker="ethan").samples)
    speech = client.audio.speech.with_streaming_response
    with speech.create(model="tts-1", voice="ethan", input=TEXT, response_format="pcm", speed=1.0) as stream:
        pieces = list(stream.iter_bytes())
    assert b"".join(pieces) == answer.content[44:] and len(pieces) > 1
    with pytest.raises(openai.BadRequestError, match="there is no voice 'nobody'"):
        client.audio.speech.create(model="tts-1", voice="nobody", input=TEXT)
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4")


def test_curl(server: Served, tmp_path: Path) -> None:
    curl = shutil.which("curl") or pytest.skip("no curl")
    sound = tmp_path / "a.wav"
    body = json.dumps({"input": TEXT, "response_format": "wav"})
    command = [curl, "-sSf", "-H", "Content-Type: application/json", "-d", body, "-o", str(sound)]
    subprocess.run([*command, f"{server.url}/v1/audio/speech"], check=True, timeout=60, env=others_environment())
    # Of unknown length, as streams are.
    assert sound.read_bytes()[4:8] == b"\xff\xff\xff\xff" and len(soundfile.read(sound)[0]) > 12000


def wyoming_events(port: int, *events: Any) -> list[Any]:
    """What a Wyoming client is told, up to the last answer to these events."""
    from wyoming.client import AsyncTcpClient

    async def talk() -> list[Any]:
        answers = []
        async with AsyncTcpClient("127.0.0.1", port) as client:
            for event in events:
                await client.write_event(event.event())
            while (answer := await asyncio.wait_for(client.read_event(), 60)) is not None:
                answers.append(answer)
                last = "synthesize-stopped" if len(events) > 1 else "audio-stop"
                if answer.type in (last, "info", "error", "pong"):
                    break
        return answers

    return asyncio.run(talk())


def test_wyoming(server: Served, voice: omniggml.Model) -> None:
    pytest.importorskip("wyoming")
    from wyoming.info import Describe, Info
    from wyoming.ping import Ping
    from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop, SynthesizeVoice

    (described,) = wyoming_events(server.wyoming, Describe())
    (program,) = Info.from_event(described).tts
    assert [voice.name for voice in program.voices] == voice.speakers and program.supports_synthesize_streaming
    assert wyoming_events(server.wyoming, Ping("x"))[0].data == {"text": "x"}

    start, *chunks, stop = wyoming_events(server.wyoming, Synthesize(TEXT, SynthesizeVoice("ethan")))
    assert (start.type, stop.type) == ("audio-start", "audio-stop") and start.data["rate"] == 24000
    assert b"".join(chunk.payload for chunk in chunks) == pcm16(voice.speak(TEXT, speaker="ethan").samples)

    said = ["The dog ", "runs in the ", "garden. Two cats ", "sleep."]
    pieces = [SynthesizeChunk(text) for text in said]
    whole = Synthesize("".join(said))
    answers = wyoming_events(server.wyoming, SynthesizeStart(), *pieces, whole, SynthesizeStop())
    kinds = [answer.type for answer in answers]
    assert kinds[0] == "audio-start" and kinds[-2:] == ["audio-stop", "synthesize-stopped"]
    assert sum(len(answer.payload or b"") for answer in answers) > 48000

    (refused,) = wyoming_events(server.wyoming, Synthesize(TEXT, SynthesizeVoice("nobody")))
    assert refused.type == "error" and "there is no voice 'nobody'" in refused.data["text"]


@pytest.mark.parametrize(
    "sent",
    [
        b"x\n",
        b"[]\n",
        b"{}\n",
        b'{"type": "synthesize"}\n',
        b'{"type": "synthesize", "data": {"text": 3}}\n',
        b'{"type": "synthesize", "data": {"text": "\\ud800"}}\n',
        b'{"type": "synthesize-chunk", "data": {"text": "x"}}\n',
        b'{"type": "synthesize-stop"}\n',
        b'{"type": "ping", "payload_length": 100000000000}\n',
        b'{"type": "ping", "data_length": -1}\n',
        b"x" * 3_000_000,
    ],
)
def test_no_wyoming(server: Served, sent: bytes) -> None:
    """The connection ends or an error is told; the server lives."""

    async def talk() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.wyoming)
        writer.write(sent)
        try:
            writer.write_eof()
            return await asyncio.wait_for(reader.read(), 30)
        except OSError:  # it has ended already
            return b""
        finally:
            writer.close()

    heard = asyncio.run(talk())
    kinds = [json.loads(line)["type"] for line in heard.splitlines() if line.startswith(b'{"type"')]
    # What was never finished may have no answer, and what is thrown away unread ends the connection before one arrives.
    assert kinds in (["error"], ["pong"]) or len(sent) > 1 << 20, heard
    assert server.ask("/health").json == {"status": "ready"}


@pytest.mark.parametrize("text", ["", "...", "\u4f60\u597d"])
@pytest.mark.parametrize("streams", [False, True])
def test_a_wyoming_client_that_waits_for_audio_is_not_left_waiting(server: Served, text: str, streams: bool) -> None:
    """As Home Assistant waits: for the end of the audio or of the connection, whatever else it is told."""
    pytest.importorskip("wyoming")
    from wyoming.client import AsyncTcpClient
    from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop

    async def talk() -> list[str]:
        kinds = []
        async with AsyncTcpClient("127.0.0.1", server.wyoming) as client:
            events = [SynthesizeStart(), SynthesizeChunk(text), Synthesize(text), SynthesizeStop()]
            for event in events if streams else [Synthesize(text)]:
                await client.write_event(event.event())
            while (answer := await asyncio.wait_for(client.read_event(), 20)) is not None:
                kinds.append(answer.type)
                if answer.type in ("audio-stop", "synthesize-stopped"):
                    break
        return kinds

    assert asyncio.run(talk())[-1] == "error"


def start(*arguments: str) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "omniggml", "serve", "--port", "0", "--threads", "1", *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    return process, process.stderr.readline().split()[-1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_command_drains_at_a_signal(number: signal.Signals) -> None:
    """What was begun is answered whole; then the process ends, with 0 and without a word."""
    process, url = start()
    try:
        body = json.dumps({"input": f"{TEXT} " * 12, "response_format": "pcm"}).encode()
        request = urllib.request.Request(f"{url}/v1/audio/speech", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            first = answer.read(1000)
            process.send_signal(number)
            rest = answer.read()
        assert process.wait(30) == 0
    finally:
        process.kill()
        _, logged = process.communicate()
    assert logged == ""
    assert first + rest == pcm16(omniggml.load().speak(f"{TEXT} " * 12).samples)


def test_a_terminal_that_closes_does_not_end_what_nohup_started() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # which the process inherits
    try:
        process, url = start()
    finally:
        signal.signal(signal.SIGHUP, before)
    try:
        process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        with urllib.request.urlopen(f"{url}/health", timeout=60) as answer:
            assert answer.status == 200
    finally:
        process.terminate()
        _, logged = process.communicate()
    assert (process.returncode, logged) == (0, "")


@pytest.mark.parametrize("signals", [1, 2])
def test_the_command_cuts_what_takes_too_long(signals: int) -> None:
    """After --drain-seconds, or at a second signal; it says so once, and nobody takes half of one for the whole."""
    process, url = start("--drain-seconds", "2" if signals == 1 else "60")
    long = json.dumps({"input": f"{TEXT} " * 400, "response_format": "pcm"}).encode()
    try:
        answers = []
        for _ in range(6):
            request = urllib.request.Request(f"{url}/v1/audio/speech", long, {"Content-Type": "application/json"})
            answers.append(urllib.request.urlopen(request, timeout=60))
        begun = time.monotonic()
        for _ in range(signals):
            process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
        for answer in answers:
            with answer, pytest.raises((http.client.IncompleteRead, ConnectionError)):
                answer.read()
        assert process.wait(30) == 3 and time.monotonic() - begun < 4.5
    finally:
        process.kill()
        _, logged = process.communicate()
    assert logged.splitlines() == ["omniggml.server: 6 answers were cut: the time to end them was over"]


def test_the_command_logs_what_could_not_be_spoken() -> None:
    process, url = start()
    try:
        body = json.dumps({"input": "Hello \u4f60 world", "response_format": "pcm"}).encode()
        request = urllib.request.Request(f"{url}/v1/audio/speech", body, {"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=60).close()
    finally:
        process.terminate()
        _, logged = process.communicate()
    assert "no sounds for '\u4f60'" in logged


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    taken, url = start()
    (tmp_path / "keys").write_text("\n  \n")
    try:
        port = url.rpartition(":")[2]
        for arguments, said in (
            (["--port", port], "can't be served"),
            (["--host", "0.0.0.0"], "--api-key"),
            (["--model", "nothing.gguf"], "nothing.gguf"),
            (["--slots", "0"], "slots"),
            (["--api-key-file", str(tmp_path / "keys")], "keys holds no key"),
            (["--thinker-url", "http://127.0.0.1:9", "--thinker-key", ""], "the key"),
        ):
            command = [sys.executable, "-m", "omniggml", "serve", "--port", "0", *arguments]
            run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
            assert run.returncode == 1 and said in run.stderr and run.stderr.count("\n") == 1, run.stderr
    finally:
        taken.terminate()
        taken.communicate()


ENDED_EARLY = """
import os, signal, time
import omniggml
from omniggml.server.serving import serve
from omniggml.server.settings import ServerSettings

def load():
    {}
    time.sleep(0.3)
    return omniggml.load()

serve(ServerSettings(port=0), load, print)
"""


@pytest.mark.parametrize(
    ("meanwhile", "code", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGTERM)", 0, ""),
        ("os.kill(os.getpid(), signal.SIGINT)", 0, ""),
        ("os.kill(os.getpid(), signal.SIGHUP)", 0, ""),
        ("raise OSError(24, 'Too many open files')", 1, "OSError: [Errno 24] Too many open files"),
    ],
)
def test_a_server_that_ends_while_it_loads_says_so_at_most_once(meanwhile: str, code: int, said: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", ENDED_EARLY.format(meanwhile)], capture_output=True, text=True, check=False, timeout=100
    )
    assert (run.returncode, run.stdout) == (code, ""), run.stderr
    assert (run.stderr.splitlines() or [""])[-1] == said
    assert "CancelledError" not in run.stderr and "lifespan" not in run.stderr

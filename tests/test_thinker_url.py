"""An answer that a server writes is spoken while it comes: llama.cpp's by its token ids, any other by its text."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import soundfile

import omniggml
from omniggml import Audio, Model, TextOptions
from omniggml.cli import main

QUESTION = "what is the opposite of big"

Reply = Callable[[str, dict[str, Any]], tuple[int, list[str]]]


@contextmanager
def serving(reply: Reply) -> Iterator[str]:
    """A server on a port of its own; `reply`: path and body -> status and lines."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, lines = reply(self.path, body)
            self.send_response(status)
            self.end_headers()
            for line in lines:
                self.wfile.write(line.encode() + b"\n")
                self.wfile.flush()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def event(**fields: Any) -> str:
    return "data: " + json.dumps(fields)


def delta(text: str, finish: str | None = None) -> str:
    return event(choices=[{"delta": {"content": text}, "finish_reason": finish}])


def test_a_server_is_sent_what_it_can_not_read_itself(voice: Model, tmp_path: Path) -> None:
    """Files, bytes and arrays as WAV and PNG in base64; what has OpenAI's form as it is; no video."""
    asked: list[dict[str, Any]] = []

    def reply(path: str, body: dict[str, Any]) -> tuple[int, list[str]]:
        if path != "/v1/chat/completions":
            return 404, []
        asked.append(body)
        return 200, [delta("yes", "stop"), "data: [DONE]"]

    sound, pixels = Audio(np.linspace(-0.5, 0.5, 24000, dtype=np.float32), 24000), np.full((4, 6, 3), 7, np.uint8)
    sound.save(tmp_path / "q.flac")
    theirs = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    given = [tmp_path / "q.flac", (tmp_path / "q.flac").read_bytes(), sound]
    content = [
        *({"type": "audio", "audio": one} for one in given),
        *[{"type": "image", "image": pixels}, theirs, {"type": "text", "text": "hm?"}],
    ]
    with serving(reply) as url:
        answer = voice.answer([{"role": "user", "content": content}], thinker_url=url)
        assert "".join(answer) == "yes"
        watched = [{"role": "user", "content": [{"type": "video", "video": "v.mp4"}]}]
        with pytest.raises(omniggml.InputError, match="no videos"):
            voice.answer(watched, thinker_url=url)
    *sounds, image, same, text = asked[0]["messages"][0]["content"]
    assert (same, text) == tuple(content[-2:])
    for part in sounds:
        assert part["type"] == "input_audio" and part["input_audio"]["format"] == "wav"
        heard, rate = soundfile.read(io.BytesIO(base64.b64decode(part["input_audio"]["data"])), dtype="float32")
        assert rate == 16000 and np.abs(heard[100:-100] - np.linspace(-0.5, 0.5, 16000)[100:-100]).max() < 1e-3
    picture = base64.b64decode(image["image_url"]["url"].removeprefix("data:image/png;base64,"))
    assert np.array_equal(np.asarray(PIL.Image.open(io.BytesIO(picture))), pixels)


def test_any_servers_text_is_spoken_as_the_whole(voice: Model) -> None:
    asked: list[dict[str, Any]] = []

    def reply(path: str, body: dict[str, Any]) -> tuple[int, list[str]]:
        if path != "/v1/chat/completions":
            return 404, []
        asked.append(body)
        return 200, [
            delta("The op"),
            delta("posite of 2 big"),
            delta(" cats is small."),
            delta("", "stop"),
            "data: [DONE]",
        ]

    with serving(reply) as url:
        written: list[str] = []
        options: Any = {"seed": 1, "max_frames": 60, "split": "never"}
        answer = voice.stream_chat(QUESTION, thinker_url=url + "/v1", written=written.append, **options)
        said = Audio.join(list(answer.pieces))
    assert answer.text == "".join(written) == "The opposite of 2 big cats is small." and answer.stop_reason == "eos"
    assert asked[0]["messages"] == [{"role": "user", "content": QUESTION}] and asked[0]["stream"] is True
    header = voice._conversation([{"role": "user", "content": QUESTION}])
    tokens = voice.tokenizer.encode(voice.written_out(answer.text))
    whole = Audio.join(list(voice.stream_answer(header, tokens, seed=1, max_frames=60)))
    np.testing.assert_array_equal(said.samples, whole.samples)


def test_llama_servers_ids_are_spoken_as_they_are(voice: Model) -> None:
    own = voice.stream_text(QUESTION, TextOptions(greedy=True))
    text = "".join(own)

    def reply(path: str, body: dict[str, Any]) -> tuple[int, list[str]]:
        if path == "/apply-template":
            return 200, [json.dumps({"prompt": "a prompt"})]
        if path == "/tokenize":
            return 200, [json.dumps({"tokens": voice.tokenizer.encode(body["content"])})]
        assert path == "/completion" and body["return_tokens"] and body["prompt"] == "a prompt"
        pieces = [event(content=voice.tokenizer.decode([token]), tokens=[token], stop=False) for token in own.tokens]
        return 200, [*pieces, event(content="", tokens=[], stop=True, stop_type="eos")]

    with serving(reply) as url:
        answer = voice.stream_chat(QUESTION, thinker_url=url, seed=2, max_frames=60)
        said = Audio.join(list(answer.pieces))
    assert answer.text == text and answer.tokens == tuple(own.tokens) and answer.stop_reason == "eos"
    ours = voice.chat(QUESTION, text_options=TextOptions(greedy=True), seed=2, max_frames=60, chunk_frames=None)
    np.testing.assert_array_equal(said.codes, ours.audio.codes)


@pytest.mark.parametrize(
    ("status", "lines", "sentence"),
    [
        (500, ["out of order"], "answers with 500: out of order"),
        (200, ["data: nonsense"], "what is no event"),
        (200, [delta("Half of")], "left off in the middle"),
        (200, [event(error="it failed")], "failed: 'it failed'"),
        (200, [event(choices=[3])], "what is no answer"),
    ],
)
def test_a_server_that_fails_gets_a_sentence(voice: Model, status: int, lines: list[str], sentence: str) -> None:
    def reply(path: str, _: dict[str, Any]) -> tuple[int, list[str]]:
        return (status, lines) if path == "/v1/chat/completions" else (404, [])

    with serving(reply) as url, pytest.raises(omniggml.InputError, match=sentence):
        list(voice.stream_chat(QUESTION, thinker_url=url, max_frames=5).pieces)


def test_no_server(voice: Model) -> None:
    with pytest.raises(omniggml.InputError, match=r"no server answers at http://127\.0\.0\.1:9"):
        voice.stream_chat(QUESTION, thinker_url="http://127.0.0.1:9")
    with pytest.raises(omniggml.InputError, match="is no address of a server"):
        voice.stream_chat(QUESTION, thinker_url="nowhere")


@pytest.mark.slow
def test_llama_cpps_own_server(voice: Model, tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """As PyPI has it, with the built-in voice's thinker file: the same answer as our own thinker's, by its ids."""
    xllamacpp = pytest.importorskip("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = str(voice.path.with_name("voice-thinker.gguf"))
    params.n_ctx, params.n_parallel, params.warmup = 256, 1, False
    params.cpuparams.n_threads = 1
    server = xllamacpp.Server(params)
    url = server.listening_address
    options: Any = {"text_options": TextOptions(greedy=True), "seed": 2, "max_frames": 60}
    ours = voice.chat(QUESTION, **options)
    answer = voice.stream_chat(QUESTION, thinker_url=url, chunk_frames=32, **options)
    said = Audio.join(list(answer.pieces))
    assert answer.text.strip() == ours.text.strip() and answer.tokens == ours.tokens
    np.testing.assert_array_equal(said.samples, ours.audio.samples)
    cut = 3  # after nine frames
    command = ["chat", QUESTION, "-o", str(tmp_path / "a.wav"), "--thinker-url", url, "--greedy", "--max-frames", "9"]
    assert main(command) == cut
    assert ours.text.strip() in capsys.readouterr().out

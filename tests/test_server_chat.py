"""`/v1/chat/completions` and `/v1/realtime`: answers in text and aloud, while they are written."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.client
import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import soundfile

pytest.importorskip("fastapi")

import omniggml
from ears_side import Ears
from omniggml import TextOptions, ThinkerServer
from omniggml.server.encoders import pcm16
from omniggml.server.input_audio import recording_of
from omniggml.server.within import within
from parity.files import ModelFiles
from served import Answer, Served, served
from test_log_mel import clip

QUESTION = "what is the capital of france"
TURNS = [{"role": "user", "content": QUESTION}]


@pytest.fixture(scope="module")
def expected(voice: omniggml.Model) -> str:
    return "".join(voice.stream_text(QUESTION, TextOptions(greedy=True)))


def chat(server: Served, **fields: Any) -> Answer:
    return server.ask("/v1/chat/completions", {"messages": TURNS, "temperature": 0, **fields})


def events(answer: Answer) -> list[dict[str, Any]]:
    lines = [line for line in answer.data.decode().split("\n\n") if line]
    assert lines[-1] == "data: [DONE]" and answer.headers["content-type"].startswith("text/event-stream")
    return [json.loads(line[6:]) for line in lines[:-1]]


def test_text(server: Served, expected: str) -> None:
    answer = chat(server).json
    assert answer["object"] == "chat.completion" and answer["model"] == "omniggml"
    assert answer["choices"][0]["message"]["content"] == expected
    assert answer["choices"][0]["finish_reason"] == "stop"
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > usage["prompt_tokens"] > 0
    cut = chat(server, max_completion_tokens=1).json
    assert cut["choices"][0]["finish_reason"] == "length" and cut["usage"]["completion_tokens"] == 1


def test_text_in_chunks(server: Served, expected: str) -> None:
    *chunks, usage = events(chat(server, stream=True, stream_options={"include_usage": True}))
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0]["role"] == "assistant" and len(deltas) > 3
    assert "".join(delta.get("content") or "" for delta in deltas) == expected
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop" and usage["choices"] == []
    assert usage["usage"] == chat(server).json["usage"]


def test_audio(server: Served, expected: str) -> None:
    message = chat(server, modalities=["text", "audio"], audio={"voice": "ethan", "format": "mp3"}).json["choices"][0][
        "message"
    ]
    assert message["content"] is None and message["audio"]["transcript"] == expected
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(message["audio"]["data"])))
    assert rate == 24000 and len(samples) > 12000
    assert message["audio"]["expires_at"] > time.time() + 3000

    # The id stands for what was said.
    turns = [*TURNS, {"role": "assistant", "audio": {"id": message["audio"]["id"]}}, {"role": "user", "content": "hi"}]
    said = [TURNS[0], {"role": "assistant", "content": expected}, {"role": "user", "content": "hi"}]
    assert chat(server, messages=turns).json["choices"] == chat(server, messages=said).json["choices"]
    unknown = chat(server, messages=[{"role": "assistant", "audio": {"id": "audio_x"}}, *TURNS])
    assert unknown.status == 404 and "audio_x" in unknown.json["error"]["message"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "messages: it is missing"),
        ({"messages": [{}]}, "messages.0.role: it is missing"),
        ({"messages": ["x"]}, "messages.0: it should be an object"),
        ([], "the request's body: it should be an object"),
    ],
)
def test_what_is_malformed_is_named_without_our_classes(server: Served, body: Any, said: str) -> None:
    assert server.ask("/v1/chat/completions", body).json["error"]["message"] == said


def test_empty_messages_are_passed_over(server: Served) -> None:
    """As front ends leave them: a system's that nobody wrote, an answer that was stopped, one that called a tool."""
    again = {"role": "user", "content": "hi"}
    empty: list[dict[str, Any]] = [
        {"role": "assistant", "content": ""},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "x"}]},
        {"role": "user", "content": []},
    ]
    turns = [{"role": "system", "content": " "}, *TURNS, *empty, again]
    answer = chat(server, messages=turns)
    assert answer.status == 200 and answer.json["choices"] == chat(server, messages=[*TURNS, again]).json["choices"]


def test_a_chat_that_is_too_long_has_the_code_at_which_clients_shorten_it(server: Served) -> None:
    for times in (30_000, 200_000):
        error = chat(server, messages=[*TURNS, {"role": "user", "content": "a " * times}]).json["error"]
        assert (error["code"], error["param"]) == ("context_length_exceeded", "messages"), error


@pytest.mark.parametrize("kind", ["pcm16", "wav"])
def test_audio_in_chunks(server: Served, expected: str, kind: str) -> None:
    """Text and audio while they are made; a stream of "wav" is samples, as Alibaba's own interface sends them."""
    chunks = events(chat(server, stream=True, modalities=["text", "audio"], audio={"voice": "alloy", "format": kind}))
    audio = [chunk["choices"][0]["delta"].get("audio") or {} for chunk in chunks]
    assert len({one["id"] for one in audio if one}) == 1
    assert "".join(one.get("transcript", "") for one in audio) == expected
    data = b"".join(base64.b64decode(one["data"]) for one in audio if "data" in one)
    assert len(data) > 24000 and len(data) % 2 == 0 and not data.startswith(b"RIFF")
    assert sum("data" in one for one in audio) > 1 and audio[-2]["expires_at"] > time.time()


CONVERSATIONS = [
    TURNS,
    [{"role": "system", "content": "be brief"}, *TURNS],
    [*TURNS, {"role": "assistant", "content": "Paris."}, {"role": "user", "content": "what is the opposite of big"}],
]


AS_SAMPLES = {"format": "pcm16"}


def aloud(server: Served, turns: Any, **fields: Any) -> bytes:
    """The samples of an answer."""
    answer = chat(server, messages=turns, **{"modalities": ["text", "audio"], "audio": AS_SAMPLES, **fields})
    assert answer.status == 200, answer.data
    return base64.b64decode(answer.json["choices"][0]["message"]["audio"]["data"])


@pytest.mark.parametrize("turns", CONVERSATIONS)
def test_it_is_spoken_in_its_conversation(server: Served, voice: omniggml.Model, turns: Any) -> None:
    for fields, options in (({"temperature": 0, "seed": 3}, {"greedy": True}), ({"temperature": 0.9, "seed": 5}, {})):
        text_options = TextOptions(seed=fields["seed"], **(options or {"temperature": 0.9}), max_tokens=1024)
        own = voice.chat(turns, text_options=text_options, seed=fields["seed"])
        assert aloud(server, turns, **fields) == pcm16(own.audio.samples)
    cut = voice.chat(turns, text_options=TextOptions(greedy=True, max_tokens=2))
    assert aloud(server, turns, max_tokens=2) == pcm16(cut.audio.samples)


def test_the_conversation_is_heard_in_how_it_is_spoken(model_files: ModelFiles) -> None:
    """Random weights hear any difference: the same words after two questions are said in two ways."""
    speech, thinker = model_files.gguf("odd", "f32")
    model = omniggml.load(speech, thinker=thinker, n_threads=1)
    with told_by("one two three four five six") as url, served(model, thinker=ThinkerServer(url), max_frames=20) as one:
        said = [aloud(one, [{"role": "user", "content": text}], seed=1) for text in ("one", "two three", "one")]
        assert said[0] == said[2] != said[1]
        own = model.stream_chat("two three", thinker_url=url, seed=1, max_frames=20)
        assert said[1] == pcm16(omniggml.Audio.join(list(own.pieces)).samples)


@contextlib.contextmanager
def told_by(text: str) -> Iterator[str]:
    """A thinker elsewhere that says always the same."""
    with thinker(200, told({"choices": [{"delta": {"content": text}, "finish_reason": "stop"}]})) as (url, _):
        yield url


def test_stop(server: Served, expected: str) -> None:
    word = expected.split()[2]
    assert chat(server, stop=word).json["choices"][0]["message"]["content"] == expected[: expected.index(word)]
    assert chat(server, stop=["nowhere", word]).json["choices"][0]["finish_reason"] == "stop"
    # What is spoken is cut there, too.
    whole, cut = aloud(server, TURNS), aloud(server, TURNS, stop=word)
    assert 0 < len(cut) < len(whole)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages.0"),
        (
            {"messages": [*TURNS, {"role": "user", "content": [{"type": "text", "text": " "}]}]},
            f"messages.{len(TURNS)}",
        ),
        ({"messages": [{"role": "assistant", "content": None}]}, "messages.0"),
        ({"n": 2}, "n"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"frequency_penalty": -1}, "frequency_penalty"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"reasoning_effort": "low"}, "reasoning_effort"),
        ({"verbosity": "low"}, "verbosity"),
        ({"functions": [{}]}, "functions"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"min_p": 0.1}, "min_p"),
        ({"top_k": -2}, "top_k"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"seed": -(2**63) - 1}, "seed"),
        ({"messages": [{"role": "user", "content": [{"text": "x", "image_url": {"url": "data:,x"}}]}]}, "messages"),
        ({"tools": [{}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"stop": ""}, "stop"),
        ({"modalities": ["video"]}, "modalities.0"),
        ({"modalities": ["audio"], "audio": {"voice": "nobody"}}, "voice"),
        ({"temperature": 3}, "temperature"),
    ],
)
def test_what_is_wrong_is_named(server: Served, fields: dict[str, Any], param: str | None) -> None:
    answer = chat(server, **fields)
    assert answer.status == 400 and answer.json["error"]["param"] == param


@pytest.fixture(scope="module")
def ears(tmp_path_factory: pytest.TempPathFactory) -> Ears:
    return Ears(tmp_path_factory.mktemp("ears"))


def test_fields_that_ask_for_nothing(server: Served, expected: str) -> None:
    """Chat front ends send all of theirs, at rest."""
    at_rest = {
        "n": 1,
        "tools": [],
        "tool_choice": "auto",
        "presence_penalty": 0,
        "frequency_penalty": 0.0,
        "logit_bias": {},
        "logprobs": False,
        "reasoning_effort": None,
        "min_p": 0,
        "top_k": -1,
        "repetition_penalty": 1,
        "user": "x",
        "metadata": {"a": "b"},
        "store": True,
        "seed": -1,
        "top_p": 1,
    }
    assert chat(server, **at_rest).json["choices"][0]["message"]["content"] == expected


def test_what_is_drawn_from(server: Served, expected: str) -> None:
    """Of no probability mass at all, or one token, the likeliest is left; a negative seed is one like any other."""
    for one_token in ({"top_p": 0.0}, {"top_k": 1}):
        answer = chat(server, temperature=2, seed=9, **one_token).json["choices"][0]["message"]["content"]
        assert answer == expected
    drawn = {seed: chat(server, temperature=2, seed=seed).json["choices"] for seed in (-1, 2**64 - 1, -2, -3, -4)}
    assert drawn[-1] == drawn[2**64 - 1] and any(drawn[seed] != drawn[-1] for seed in (-2, -3, -4))
    assert chat(server, repetition_penalty=10.0).json["choices"][0]["message"]["content"] != expected


@pytest.mark.parametrize("kind", ["wav", "mp3", "flac"])
def test_a_whole_answer_tells_its_length(server: Served, kind: str) -> None:
    """To players, which read the header: a stream can't, since what was sent is never changed."""
    whole = aloud(server, TURNS, audio={"format": kind})
    length = len(aloud(server, TURNS)) // 2
    with soundfile.SoundFile(io.BytesIO(whole)) as file:
        assert abs(file.frames - length) <= (0 if kind != "mp3" else 1200)
    if kind == "mp3":
        assert b"Xing" in whole[:200] or b"Info" in whole[:200]


def test_recordings_are_heard(ears: Ears, tmp_path: Path) -> None:
    model = omniggml.load(ears.files()[0], n_threads=1)
    path = tmp_path / "q.wav"
    soundfile.write(path, clip("voice", 9000), 16000)
    sound = {"data": base64.b64encode(path.read_bytes()).decode(), "format": "wav"}
    parts = [{"type": "input_audio", "input_audio": sound}, {"type": "text", "text": "what?"}]
    expected = "".join(model.stream_text([{"role": "user", "content": parts}], TextOptions(greedy=True, max_tokens=5)))
    with served(model, slots=1, max_frames=30) as running:

        def ask(content: Any) -> Answer:
            return chat(running, messages=[{"role": "user", "content": content}], max_tokens=5)

        assert ask(parts).json["choices"][0]["message"]["content"] == expected
        assert ask(parts).json["usage"]["prompt_tokens"] > ask("what?").json["usage"]["prompt_tokens"]
        asked = [{"role": "user", "content": parts}]
        own = model.chat(asked, text_options=TextOptions(greedy=True, max_tokens=5), seed=4, max_frames=30)
        said = [aloud(running, asked, max_tokens=5, seed=4) for _ in range(2)]
        assert said == [pcm16(own.audio.samples)] * 2, "what was heard is heard in how it is spoken"
        url = f"data:audio/wav;base64,{sound['data']}"
        by_url = [{"type": "audio_url", "audio_url": {"url": url}}, parts[1]]
        assert ask(by_url).json["choices"][0]["message"]["content"] == expected
        for wrong in ("file:///etc/passwd", "/etc/passwd", str(path), "http://127.0.0.1:9/q.wav", "data:,x", None):
            assert ask([{"type": "audio_url", "audio_url": {"url": wrong}}]).status == 400
        for wrong in ({}, {"data": "$"}, {"data": "YWJj"}, {"data": 3}):
            answer = ask([{"type": "input_audio", "input_audio": wrong}])
            assert answer.status == 400 and answer.json["error"]["message"]


def test_openai_sdk(server: Served, expected: str) -> None:
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0)
    aloud = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "pcm16"}, "temperature": 0}
    answer = client.chat.completions.create(model="any", messages=TURNS, **aloud)
    assert answer.choices[0].message.audio.transcript == expected
    text, data = "", b""
    for chunk in client.chat.completions.create(model="any", messages=TURNS, stream=True, **aloud):
        if audio := chunk.choices[0].delta.audio:
            text += audio.transcript or ""
            data += base64.b64decode(audio.data or "")
    assert text == expected and data == base64.b64decode(answer.choices[0].message.audio.data)


# --- a thinker elsewhere ----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def thinker(
    status: int, body: bytes, hangs_up_on: tuple[str, ...] = (), known: dict[str, Any] | None = None, **headers: str
) -> Iterator[tuple[str, list[Any]]]:
    """A server that answers every chat so, and what it was asked; `known`: what it says elsewhere."""
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            if self.path in hangs_up_on:
                return
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(json.dumps(known[self.path]).encode() if known and self.path in known else body)

        def log_message(self, *_: object) -> None:
            pass

    listening = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}", asked
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


@contextlib.contextmanager
def llama_like(voice: omniggml.Model, body: bytes) -> Iterator[str]:
    """A server that says that it has the model's vocabulary, and answers so."""
    from omniggml.answer_at_url import _PROBE

    known = {"/tokenize": {"tokens": voice.tokenizer.encode(_PROBE)}, "/apply-template": {"prompt": "x"}}
    with thinker(200, body, known=known) as (url, _):
        yield url


def told(*chunks: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"


def test_a_thinker_elsewhere(voice: omniggml.Model) -> None:
    bits = [{"choices": [{"delta": {"content": bit}, "finish_reason": None}]} for bit in ("two ", "cats ", "sleep.")]
    usage = {"prompt_tokens": 5, "completion_tokens": 3}
    body = told(*bits, {"choices": [{"delta": {}, "finish_reason": "stop"}]}, {"choices": [], "usage": usage})
    with thinker(200, body) as (url, asked), served(voice, thinker=ThinkerServer(url, "a-key", "llama")) as server:
        answer = chat(server, modalities=["text", "audio"]).json
        assert answer["choices"][0]["message"]["audio"]["transcript"] == "two cats sleep."
        assert answer["usage"]["prompt_tokens"] == 5
        path, sent = asked[-1]
        assert path == "/v1/chat/completions" and sent["messages"] == TURNS and sent["model"] == "llama"


@pytest.mark.parametrize(
    ("status", "body", "expected_status"),
    [
        (500, b"oh no", 502),
        (429, b'{"error": {"message": "busy"}}', 429),
        (200, b"data: {\n\n", 502),
        (200, b"data: []\n\n", 502),
        (200, b'data: {"choices": [3]}\n\n', 502),
        (200, b'data: {"error": {"message": "x"}}\n\n', 502),
        (200, b"data: " + b"x" * 3_000_000, 502),
    ],
)
def test_a_thinker_that_fails(voice: omniggml.Model, status: int, body: bytes, expected_status: int) -> None:
    with thinker(status, body) as (url, _), served(voice, thinker=ThinkerServer(url)) as server:
        answer = chat(server)
        assert answer.status == expected_status and answer.json["error"]["message"].isprintable()


@pytest.mark.parametrize("told_to_wait", ["7", "", "x", "Fri, 01 Jan 2100 00:00:00 GMT", "-3", "9" * 400])
def test_when_to_try_again(voice: omniggml.Model, told_to_wait: str) -> None:
    """As the thinker says; a second from now where it doesn't."""
    refusal = thinker(429, b'{"error": {"message": "busy"}}', **{"Retry-After": told_to_wait})
    with refusal as (url, _), served(voice, thinker=ThinkerServer(url)) as server:
        wait = int(chat(server).headers["retry-after"])
        assert wait == {"7": 7, "Fri, 01 Jan 2100 00:00:00 GMT": 86400, "9" * 400: 86400}.get(told_to_wait, 1)


@pytest.mark.parametrize("text", ["", "  \n", "\u4f60\u597d", "<think>all of it", "<think>x</think>\n"])
def test_an_answer_that_can_not_be_spoken(voice: omniggml.Model, text: str) -> None:
    """It is told; silence would look like an answer. Who reads gets what there is."""
    with told_by(text) as url, served(voice, thinker=ThinkerServer(url)) as server:
        refused = chat(server, modalities=["text", "audio"])
        assert refused.status == 400 and refused.json["error"]["code"] == "unspeakable_answer"
        streamed = chat(server, modalities=["text", "audio"], stream=True).data.decode()
        assert "unspeakable_answer" in streamed and "[DONE]" not in streamed
        assert chat(server).status == 200
        with Realtime(server) as client:
            client.say(QUESTION)
            client.send("response.create")
            done = client.until("response.done")[-1]["response"]
            assert done["status"] == "failed" and done["status_details"]["error"]["code"] == "unspeakable_answer"


def test_an_answer_that_can_be_spoken_in_part(voice: omniggml.Model) -> None:
    with told_by("Hello \u4f60 world.") as url, served(voice, thinker=ThinkerServer(url)) as server:
        whole = chat(server, modalities=["text", "audio"])
        assert "\\u4f60" in whole.headers["x-omniggml-warning"] and "\u4f60" in whole.json["warnings"][0]
        *_, last = events(chat(server, modalities=["text", "audio"], stream=True))
        assert "\u4f60" in last["warnings"][0]
        assert "warnings" not in chat(server).json
        with Realtime(server) as client:
            client.say(QUESTION)
            client.send("response.create")
            assert "\u4f60" in client.until("response.done")[-1]["response"]["warnings"][0]


def test_a_thinker_that_calls_a_tool(voice: omniggml.Model) -> None:
    call = {"index": 0, "id": "x", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    body = told({"choices": [{"delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]})
    with thinker(200, body) as (url, _), served(voice, thinker=ThinkerServer(url)) as server:
        for modalities in (["text"], ["text", "audio"]):
            answer = chat(server, modalities=modalities)
            assert answer.status == 502 and "tool" in answer.json["error"]["message"]


@pytest.mark.parametrize("length", [1, 3, 1000])
@pytest.mark.parametrize(
    ("written", "answer"),
    [
        ("<think>\nlet me see </thin\n</think>\n\ntwo cats sleep.", "two cats sleep."),
        ("\n<think></think>two cats sleep.", "two cats sleep."),
        ("<thing> two cats </think> sleep.", "<thing> two cats </think> sleep."),
        ("two <think>cats</think> sleep.", "two <think>cats</think> sleep."),
        ("<thi", "<thi"),
        ("<think>never closed", ""),
    ],
)
def test_what_a_thinker_thinks_aloud_is_no_answer(
    voice: omniggml.Model, length: int, written: str, answer: str
) -> None:
    bits = [written[at : at + length] for at in range(0, len(written), length)]
    chunks = [{"choices": [{"delta": {"content": bit}}]} for bit in bits]
    with thinker(200, told(*chunks)) as (url, _):
        reply = voice.stream_chat(QUESTION, thinker_url=url)
        assert reply.text == answer


def test_what_llama_server_thinks_aloud_is_no_answer(voice: omniggml.Model) -> None:
    """Its tokens are not spoken either."""
    words = "two cats sleep."
    for written in (f"<think>\nthe dog\n</think>\n\n{words}", words):
        ids = voice.tokenizer.encode(written)
        shown = [voice.tokenizer.decode(ids[:number]) for number in range(len(ids) + 1)]
        pieces = [after.removeprefix(before) for before, after in pairwise(shown)]
        chunks = [{"content": piece, "tokens": [token]} for piece, token in zip(pieces, ids, strict=True)]
        end = {"content": "", "tokens": [voice.tokenizer.eos_id], "stop": True, "stop_type": "eos"}
        with llama_like(voice, told(*chunks, end)) as url:
            reply = voice.stream_chat(QUESTION, thinker_url=url)
            assert reply.text == words and list(reply.tokens) == voice.tokenizer.encode(words)


def test_a_thinker_that_hangs_up_on_what_it_does_not_know(voice: omniggml.Model) -> None:
    """Some servers end the connection where others say 404."""
    body = told({"choices": [{"delta": {"content": "two cats"}, "finish_reason": "stop"}]})
    hangs_up = thinker(200, body, hangs_up_on=("/tokenize",))
    with hangs_up as (url, _), served(voice, thinker=ThinkerServer(url)) as server:
        assert chat(server).json["choices"][0]["message"]["content"] == "two cats"


def test_a_thinker_elsewhere_is_told_that_nobody_waits(voice: omniggml.Model) -> None:
    """Its connection ends with its client's, even while its next token is waited for."""
    silent, gone = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def think() -> None:
        for answered in (False, True):
            connection, _ = silent.accept()
            with connection:
                connection.recv(65536)
                if not answered:
                    connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                    continue
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + told({"choices": [{"delta": {"content": "a"}}]})[:-14])
                while connection.recv(65536):
                    pass
                gone.set()

    thread = threading.Thread(target=think)
    thread.start()
    url = f"http://127.0.0.1:{silent.getsockname()[1]}"
    with silent, served(voice, thinker=ThinkerServer(url)) as server:
        client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        body = json.dumps({"messages": TURNS, "stream": True})
        client.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
        assert client.getresponse().readline().startswith(b"data: ")
        client.close()
        assert gone.wait(30)
        thread.join(30)


def test_no_thinker_at_all(voice: omniggml.Model) -> None:
    with served(omniggml.load(thinker=False, n_threads=1)) as server:
        assert chat(server).json["error"]["code"] == "no_thinker"
    with served(voice, thinker=ThinkerServer("http://127.0.0.1:9")) as server:
        assert chat(server).status == 502


@pytest.mark.slow
def test_llama_server_as_thinker(voice: omniggml.Model, tmp_path: Path) -> None:
    """llama.cpp's own server, as PyPI has it, runs the built-in voice's thinker file."""
    xllamacpp = pytest.importorskip("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = str(voice.path.with_name("voice-thinker.gguf"))
    params.n_ctx, params.n_parallel, params.warmup = 256, 1, False
    params.cpuparams.n_threads = 1
    own = "".join(voice.stream_text(QUESTION, TextOptions(greedy=True)))
    llama = xllamacpp.Server(params)
    with served(voice, thinker=ThinkerServer(llama.listening_address)) as server:
        answer = chat(server, modalities=["text", "audio"], audio={"voice": "ethan", "format": "wav"}).json
    audio = answer["choices"][0]["message"]["audio"]
    assert audio["transcript"].strip() == own.strip() and len(base64.b64decode(audio["data"])) > 24000


# --- realtime ---------------------------------------------------------------------------------------------------------


class Realtime:
    """A client of `/v1/realtime`."""

    def __init__(self, server: Served, **options: Any) -> None:
        from websockets.sync.client import connect

        self._open = contextlib.ExitStack()
        url = f"ws{server.url.removeprefix('http')}/v1/realtime?model=x"
        self.socket = self._open.enter_context(connect(url, **options))
        self.created = self.next()

    def send(self, kind: str, **fields: Any) -> None:
        self.socket.send(json.dumps({"type": kind, **fields}))

    def next(self) -> dict[str, Any]:
        return dict(json.loads(self.socket.recv(timeout=60)))

    def until(self, kind: str) -> list[dict[str, Any]]:
        """All events up to one of this type."""
        events = [self.next()]
        while events[-1]["type"] != kind:
            events.append(self.next())
        return events

    def say(self, text: str) -> list[dict[str, Any]]:
        content = [{"type": "input_text", "text": text}]
        self.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        return self.until("conversation.item.done")

    def __enter__(self) -> Realtime:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()


def kinds(events: list[dict[str, Any]]) -> list[str]:
    """Their types, runs of one type once."""
    names = [event["type"] for event in events]
    return [name for number, name in enumerate(names) if number == 0 or names[number - 1] != name]


def test_realtime(server: Served) -> None:
    with Realtime(server) as client:
        assert client.created["type"] == "session.created"
        assert client.created["session"]["audio"]["output"]["format"] == {"type": "audio/pcm", "rate": 24000}
        client.send("session.update", session={"type": "realtime", "audio": {"output": {"voice": "ethan"}}})
        assert client.next()["session"]["audio"]["output"]["voice"] == "ethan"
        assert kinds(client.say(QUESTION)) == ["conversation.item.added", "conversation.item.done"]
        client.send("response.create")
        events = client.until("response.done")
        names = [one for one in kinds(events) if not one.endswith(".delta")]
        assert names == [
            "response.created",
            "conversation.item.added",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_audio.done",
            "response.output_audio_transcript.done",
            "response.content_part.done",
            "response.output_item.done",
            "conversation.item.done",
            "response.done",
        ]
        deltas = [event for event in events if event["type"].endswith("audio.delta")]
        assert sum(len(base64.b64decode(event["delta"])) for event in deltas) > 24000
        assert {"response_id", "item_id", "output_index", "content_index", "event_id"} <= set(deltas[0])
        written = "".join(event["delta"] for event in events if event["type"].endswith("transcript.delta"))
        response = events[-1]["response"]
        assert response["status"] == "completed" and response["output"][0]["content"][0]["transcript"] == written
        assert response["usage"]["output_token_details"]["audio_tokens"] > 0

        client.send("response.create", response={"output_modalities": ["text"]})
        assert "response.output_text.delta" in kinds(client.until("response.done"))


REFUSED_IN_SESSIONS: list[tuple[dict[str, Any], str]] = [
    ({"audio": {"output": {"format": {"type": "audio/pcmu"}}}}, "audio.output.format.type"),
    ({"audio": {"output": {"format": {"type": "audio/pcm", "rate": 8000}}}}, "audio.output.format.rate"),
    ({"audio": {"output": {"speed": 9}}}, "audio.output.speed"),
    ({"audio": {"output": {"speed": "NaN"}}}, "audio.output.speed"),
    ({"audio": {"output": {"speed": float("nan")}}}, "audio.output.speed"),
    ({"audio": {"output": {"voice": "nobody"}}}, "voice"),
    ({"audio": {"output": {"language": "x"}}}, "audio.output.language"),
    ({"audio": {"video": {}}}, "audio.video"),
    ({"tools": [{"type": "function", "name": "f"}]}, "tools"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"tool_choice": {"type": "function", "name": "f"}}, "tool_choice"),
    ({"modalities": ["text"]}, "modalities"),
    ({"temperature": 0.5}, "temperature"),
    ({"prompt": {"id": "x"}}, "prompt"),
    ({"max_output_tokens": 0}, "max_output_tokens"),
    ({"max_output_tokens": "many"}, "max_output_tokens"),
    ({"nonsense": 1}, "nonsense"),
]
REFUSED_IN_SESSIONS_ALONE: list[tuple[dict[str, Any], str]] = [
    ({"audio": {"input": {"turn_detection": {"type": "server_vad"}}}}, "audio.input.turn_detection"),
    ({"audio": {"input": {"transcription": {"model": "x"}}}}, "audio.input.transcription"),
    ({"audio": {"input": {"noise_reduction": {"type": "near_field"}}}}, "audio.input.noise_reduction"),
    ({"audio": {"input": {"format": {"type": "audio/pcma"}}}}, "audio.input.format.type"),
    ({"type": "transcription"}, "type"),
    ({"input_audio_format": "g711_ulaw"}, "input_audio_format"),
    ({"turn_detection": {"type": "server_vad"}}, "turn_detection"),
    ({"tracing": "auto"}, "tracing"),
    ({"truncation": "auto"}, "truncation"),
    ({"include": ["item.input_audio_transcription.logprobs"]}, "include"),
    ({"id": "sess_other"}, "id"),
]


@pytest.mark.parametrize("url", ["data:image/png;base64,AAAA", {"url": "data:image/png;base64,AAAA"}])
def test_an_image_of_a_conversation_is_refused_as_one(server: Served, url: Any) -> None:
    """Whether its URL stands alone, as OpenAI has it there, or in an object."""
    with Realtime(server) as client:
        item = {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": url}]}
        client.send("conversation.item.create", item=item)
        assert client.next()["error"]["code"] == "unsupported_content"


@pytest.mark.parametrize(("fields", "field"), [*REFUSED_IN_SESSIONS, *REFUSED_IN_SESSIONS_ALONE])
def test_what_a_session_can_not_heed_is_refused(server: Served, fields: dict[str, Any], field: str) -> None:
    with Realtime(server) as client:
        client.send("session.update", session={"type": "realtime", "instructions": "be brief", **fields})
        answer = client.next()
        assert answer["type"] == "error" and answer["error"]["param"] == (
            field if field == "voice" else f"session.{field}"
        )
        client.send("session.update", session={})
        assert client.next()["session"] == client.created["session"], "nothing of it was taken"


@pytest.mark.parametrize(("fields", "field"), [*REFUSED_IN_SESSIONS, ({"conversation": "x"}, "conversation")])
def test_what_a_response_can_not_heed_is_refused(server: Served, fields: dict[str, Any], field: str) -> None:
    with Realtime(server) as client:
        client.say(QUESTION)
        client.send("response.create", response=fields)
        answer = client.next()
        assert answer["type"] == "error" and answer["error"]["param"] == (
            field if field == "voice" else f"response.{field}"
        )


def test_a_session_can_be_sent_back_as_it_was_shown(server: Served) -> None:
    """Choices add up: one that isn't named stays."""
    with Realtime(server) as client:
        client.send("session.update", session=client.created["session"])
        assert client.next()["session"] == client.created["session"]
        client.send("session.update", session={"audio": {"output": {"voice": "ethan"}}, "max_output_tokens": 5})
        client.next()
        client.send("session.update", session={"audio": {"input": {"turn_detection": None}, "output": {"speed": 1}}})
        shown = client.next()["session"]
        assert shown["audio"]["output"]["voice"] == "ethan" and shown["max_output_tokens"] == 5
        client.send("session.update", session={"max_output_tokens": "inf"})
        assert client.next()["session"]["max_output_tokens"] == "inf"


def samples_in(events: list[dict[str, Any]]) -> bytes:
    return b"".join(base64.b64decode(one["delta"]) for one in events if one["type"] == "response.output_audio.delta")


def test_realtime_at_another_speed(voice: omniggml.Model) -> None:
    pytest.importorskip("av")
    with (
        told_by("two cats sleep in the garden") as url,
        served(voice, thinker=ThinkerServer(url)) as server,
        Realtime(server) as client,
    ):
        client.say(QUESTION)
        said = []
        for speed in (1.0, 2.0):
            client.send("session.update", session={"audio": {"output": {"speed": speed}}})
            assert client.next()["session"]["audio"]["output"]["speed"] == speed
            client.send("response.create", response={"conversation": "none"})
            said.append(len(samples_in(client.until("response.done"))))
    assert abs(2 * said[1] / said[0] - 1) < 0.1


def test_a_response_outside_of_the_conversation(voice: omniggml.Model) -> None:
    """It reads its own input, and the conversation is as before."""
    body = told({"choices": [{"delta": {"content": "two cats"}, "finish_reason": "stop"}]})
    with (
        thinker(200, body) as (url, asked),
        served(voice, thinker=ThinkerServer(url)) as server,
        Realtime(server) as client,
    ):
        # Whose words the thinker has read is seen in what it was asked.
        said = client.say(QUESTION)[-1]["item"]

        def read_by(**response: Any) -> list[str]:
            client.send("response.create", response={"output_modalities": ["text"], **response})
            heard = client.until("response.done")
            assert heard[-1]["response"]["status"] == "completed"
            outside = response.get("conversation") == "none"
            assert ("conversation.item.added" in kinds(heard)) is not outside
            assert (heard[-1]["response"]["conversation_id"] is None) is outside
            assert heard[-1]["response"]["metadata"] == response.get("metadata")
            return [turn["content"] for turn in asked[-1][1]["messages"]]

        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
        assert read_by(conversation="none", input=[item], metadata={"topic": "x"}) == ["hi"]
        named = {"type": "item_reference", "id": said["id"]}
        assert read_by(conversation="none", input=[named, item]) == [QUESTION, "hi"]
        assert read_by(conversation="none", input=[], instructions="greet me") == ["greet me"]
        assert read_by(conversation="none") == [QUESTION]
        assert read_by() == [QUESTION]
        assert read_by() == [QUESTION, "two cats"]
        client.send("response.create", response={"input": [{"type": "item_reference", "id": "x"}]})
        assert client.next()["error"]["param"] == "response.input"


def test_where_an_item_comes(voice: omniggml.Model) -> None:
    body = told({"choices": [{"delta": {"content": "two cats"}, "finish_reason": "stop"}]})
    with thinker(200, body) as (url, asked), served(voice, thinker=ThinkerServer(url)) as server:
        with Realtime(server) as client:
            for name, previous in (("b", None), ("d", None), ("a", "root"), ("c", "b")):
                item = {"id": name, "role": "user", "content": [{"type": "input_text", "text": name}]}
                client.send("conversation.item.create", item=item, previous_item_id=previous)
                told_place = client.until("conversation.item.done")[-1]["previous_item_id"]
                assert told_place == {"b": None, "d": "b", "a": None, "c": "b"}[name]
            for item_id, previous, param in (("e", "x", "previous_item_id"), ("a", None, "item.id")):
                item = {"id": item_id, "role": "user", "content": [{"type": "input_text", "text": "x"}]}
                client.send("conversation.item.create", item=item, previous_item_id=previous)
                assert client.next()["error"]["param"] == param
            client.send("conversation.item.retrieve", item_id="c")
            retrieved = client.next()
            assert retrieved["type"] == "conversation.item.retrieved"
            assert retrieved["item"]["content"] == [{"type": "input_text", "text": "c"}]
            client.send("conversation.item.retrieve", item_id="x")
            assert client.next()["error"]["param"] == "item_id"
            client.send("response.create", response={"output_modalities": ["text"]})
            client.until("response.done")
        assert [turn["content"] for turn in asked[-1][1]["messages"]] == ["a", "b", "c", "d"]


def test_an_answer_that_a_limit_cuts_is_incomplete(server: Served) -> None:
    with Realtime(server) as client:
        client.say(QUESTION)
        client.send("response.create", response={"max_output_tokens": 2})
        events = client.until("response.done")
        response = events[-1]["response"]
        assert response["status"] == "incomplete" and response["output"][0]["status"] == "incomplete"
        assert response["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}


def test_audio_that_a_limit_cuts(voice: omniggml.Model) -> None:
    with told_by("two cats sleep") as url, served(voice, thinker=ThinkerServer(url), max_frames=3) as server:
        assert chat(server).json["choices"][0]["finish_reason"] == "stop"
        aloud = {"modalities": ["text", "audio"]}
        assert chat(server, **aloud).json["choices"][0]["finish_reason"] == "length"
        assert events(chat(server, stream=True, **aloud))[-1]["choices"][0]["finish_reason"] == "length"
        with Realtime(server) as client:
            client.say(QUESTION)
            client.send("response.create")
            assert client.until("response.done")[-1]["response"]["status"] == "incomplete"


def test_barge_in(voice: omniggml.Model) -> None:
    """A cancelled response ends, its slot is free, and the next one is answered."""
    bits = [{"choices": [{"delta": {"content": "the dog runs in the garden. "}}]}] * 40
    with thinker(200, told(*bits)) as (url, _), served(voice, slots=1, queue=0, thinker=ThinkerServer(url)) as server:
        with Realtime(server) as client:
            client.say(QUESTION)
            for _ in range(3):
                client.send("response.create")
                client.until("response.output_audio.delta")
                client.send("response.create")
                refused = client.until("error")[-1]["error"]
                assert refused["code"] == "conversation_already_has_active_response"
                client.send("response.cancel")
                assert client.until("response.done")[-1]["response"]["status"] == "cancelled"
                assert server.service.speeches == 0
            client.send("response.cancel")
            assert client.next()["error"]["code"] == "response_cancel_not_active"
            client.send("response.create")
            client.until("response.output_audio.delta")
        deadline = time.monotonic() + 20
        while server.service.speeches and time.monotonic() < deadline:
            time.sleep(0.01)
        assert server.service.speeches == 0, "a client that has gone frees its slot"


@pytest.mark.parametrize(
    ("kind", "fields", "code"),
    [
        ("input_audio_buffer.append", {"audio": "!!"}, "invalid_audio"),
        ("input_audio_buffer.append", {"audio": 3}, "invalid_audio"),
        ("input_audio_buffer.append", {}, "invalid_audio"),
        ("input_audio_buffer.append", {"audio": "A" * 5000}, "too_long"),
        ("input_audio_buffer.commit", {}, "input_audio_buffer_commit_empty"),
        (
            "conversation.item.create",
            {"item": {"role": "user", "content": [{"type": "input_audio", "audio": "AAAA"}]}},
            "invalid_audio",
        ),
        ("conversation.item.create", {"item": {"role": "user", "content": [{"type": "input_audio"}]}}, None),
    ],
)
def test_sound_that_is_wrong(ears: Ears, kind: str, fields: dict[str, Any], code: str | None) -> None:
    model = omniggml.load(ears.files()[0], n_threads=1)
    with served(model, max_body=2048) as running, Realtime(running) as client:
        client.send(kind, **fields)
        answer = client.next()
        assert answer["type"] == "error" and answer["error"]["code"] == code


def test_realtime_hears(ears: Ears) -> None:
    """Samples that are appended, and then a turn; or a turn that holds them."""
    model = omniggml.load(ears.files()[0], n_threads=1)
    sound = pcm16(clip("voice", 24000))
    recording = {"type": "input_audio", "input_audio": recording_of(sound).model_dump()}
    options = TextOptions(max_tokens=6)
    expected = "".join(model.stream_text([{"role": "user", "content": [recording]}], options))
    with served(model, slots=1, max_frames=20) as running, Realtime(running) as client:
        assert client.created["session"]["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24000}

        def answered() -> str:
            client.send("response.create", response={"output_modalities": ["text"], "max_output_tokens": 6})
            output = client.until("response.done")[-1]["response"]["output"][0]
            client.send("conversation.item.delete", item_id=output["id"])
            return str(output["content"][0]["text"])

        client.send("input_audio_buffer.append", audio=base64.b64encode(b"x" * 999).decode())
        client.send("input_audio_buffer.clear")
        assert client.next()["type"] == "input_audio_buffer.cleared"
        for at in range(0, len(sound), 10_001):
            client.send("input_audio_buffer.append", audio=base64.b64encode(sound[at : at + 10_001]).decode())
        client.send("input_audio_buffer.commit")
        events = client.until("conversation.item.done")
        assert kinds(events) == [
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
        ]
        assert events[0]["item_id"] == events[2]["item"]["id"] and len(json.dumps(events)) < 2000
        assert answered() == expected
        part = {"type": "input_audio", "audio": base64.b64encode(sound).decode()}
        client.send("conversation.item.delete", item_id=events[0]["item_id"])
        client.send("conversation.item.create", item={"type": "message", "role": "user", "content": [part]})
        assert client.until("conversation.item.done")[-1]["item"]["role"] == "user"
        assert answered() == expected


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "x",
        "[]",
        "[" * 100_000,
        '{"type": 3}',
        '{"type": "nothing"}',
        '{"type": "session.update"}',
        '{"type": "session.update", "session": {"voice": "nobody"}}',
        '{"type": "session.update", "session": {"output_modalities": []}}',
        '{"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": []}}',
        '{"type": "conversation.item.create", "item": {"role": "user", "content": [{"type": "input_audio"}]}}',
        '{"type": "conversation.item.create", "item": {"role": "user", "content": [{"text": "\\ud800"}]}}',
        '{"type": "conversation.item.delete", "item_id": "x"}',
        '{"type": "conversation.item.truncate", "item_id": "x", "audio_end_ms": -1}',
        '{"type": "input_audio_buffer.append", "audio": "!!"}',
        '{"type": "response.create"}',
        '{"type": "response.cancel"}',
        '{"type": "output_audio_buffer.clear"}',
        '{"type": "conversation.item.retrieve"}',
        '{"type": "input_audio_buffer.clear", "item_id": "x"}',
        '{"type": "conversation.item.truncate", "item_id": "x", "content_index": 1, "audio_end_ms": 1}',
        '{"type": "conversation.item.create", "item": {"role": "user", "content": [{"text": "x", "audio": "AAAA"}]}}',
        '{"type": "conversation.item.create", "item": {"role": "user", "content": [{"text": "x", "detail": "low"}]}}',
        '{"type": "conversation.item.create", "item": {"type": "function_call_output", "call_id": "x", "output": ""}}',
        b"\xff\xfe",
    ],
)
def test_events_that_are_wrong(server: Served, sent: str | bytes) -> None:
    with Realtime(server) as client:
        client.socket.send(sent)
        answer = client.next()
        assert answer["type"] == "error" and answer["error"]["message"].isprintable()
        assert client.say("x")[-1]["type"] == "conversation.item.done"


def test_a_cancellation_is_never_lost() -> None:
    """Not even one that comes together with what was waited for."""

    async def goes_on() -> None:
        assert await within(60, asyncio.sleep(0, "x")) == "x"
        with pytest.raises(asyncio.TimeoutError):
            await within(0.01, asyncio.sleep(60))
        with pytest.raises(ValueError, match="wrong"):
            await within(60, fails())
        for steps in range(6):
            assert await cancelled_after(steps)

    async def fails() -> None:
        raise ValueError("wrong")

    async def cancelled_after(steps: int) -> bool:
        going = True

        async def sends() -> None:
            while going:
                await within(60, asyncio.sleep(0))

        task = asyncio.create_task(sends())
        for _ in range(10 + steps):
            await asyncio.sleep(0)
        task.cancel()
        for _ in range(20):
            await asyncio.sleep(0)
        done, going = task.done(), False
        await asyncio.wait({task})
        return done

    asyncio.run(goes_on())


def test_keys_and_origins_of_websockets(voice: omniggml.Model) -> None:
    from websockets.exceptions import InvalidStatus
    from websockets.typing import Origin, Subprotocol

    with served(voice, api_keys=("a-long-key",)) as server:
        with pytest.raises(InvalidStatus):
            Realtime(server)
        with pytest.raises(InvalidStatus):
            Realtime(
                server, additional_headers={"Authorization": "Bearer a-long-key"}, origin=Origin("http://evil.example")
            )
        with Realtime(server, additional_headers={"Authorization": "Bearer a-long-key"}) as client:
            assert client.created["type"] == "session.created"
        protocols = [Subprotocol("realtime"), Subprotocol("openai-insecure-api-key.a-long-key")]
        with Realtime(server, subprotocols=protocols) as client:
            assert client.socket.subprotocol == "realtime"


def test_silent_websockets_are_closed(voice: omniggml.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    from websockets.exceptions import ConnectionClosed

    monkeypatch.setattr("omniggml.server.realtime._SILENCES", 1)
    with served(voice, idle_seconds=1) as server, Realtime(server) as client, pytest.raises(ConnectionClosed):
        client.next()

"""`/v1/audio/speech` and what stands around it: formats, voices, errors, limits, who may ask."""

from __future__ import annotations

import base64
import http.client
import io
import json
import socket
from typing import Any

import numpy as np
import pytest
import soundfile

pytest.importorskip("fastapi")

import omniggml
from omniggml.errors import InputError
from omniggml.server.encoders import pcm16
from omniggml.server.settings import ServerSettings
from omniggml.server.tempo import Tempo
from served import Answer, Served, served

TEXT = "the dog runs in the garden."


def speech(server: Served, **fields: Any) -> Answer:
    return server.ask("/v1/audio/speech", {"input": TEXT, **fields})


def error(answer: Answer) -> dict[str, Any]:
    assert set(answer.json) == {"error"} and set(answer.json["error"]) == {"message", "type", "param", "code"}
    return dict(answer.json["error"])


def test_samples_are_the_models_own(server: Served, voice: omniggml.Model) -> None:
    alone = pcm16(voice.speak(TEXT, seed=3, speaker="ethan").samples)
    assert speech(server, response_format="pcm", seed=3, voice="ethan").data == alone
    wav = speech(server, response_format="wav", seed=3, voice="ethan").data
    assert wav[:4] == b"RIFF" and wav[44:] == alone


@pytest.mark.parametrize("kind", ["mp3", "wav", "flac", "opus", "aac"])
def test_formats(server: Served, voice: omniggml.Model, kind: str) -> None:
    """Each is decoded by FFmpeg, is as long as the speech, and sounds the same as far as its losses allow."""
    av = pytest.importorskip("av")
    answer = speech(server, response_format=kind)
    assert answer.status == 200 and answer.headers["content-type"].startswith("audio/")
    with av.open(io.BytesIO(answer.data)) as container:
        resampler = av.AudioResampler("flt", "mono", 24000)
        frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
        decoded = np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])
    samples = voice.speak(TEXT).samples
    assert 0 <= len(decoded) - len(samples) < 2400 or abs(len(decoded) - len(samples)) < 480
    # Encoders put a little silence in front.
    size = 1 << 18
    product = np.fft.irfft(np.fft.rfft(decoded, size) * np.conj(np.fft.rfft(samples, size)))
    assert product.max() / np.sqrt((decoded**2).sum() * (samples**2).sum()) > 0.9


def test_pieces_of_mp3_can_be_joined(server: Served) -> None:
    """As LibreChat does: frames of sound and nothing else, from the first byte."""
    one = speech(server).data
    assert one[:2] == b"\xff\xf3" and b"Xing" not in one and b"Info" not in one and b"ID3" not in one
    alone, _ = soundfile.read(io.BytesIO(one))
    joined, _ = soundfile.read(io.BytesIO(one + one))
    assert abs(len(joined) - 2 * len(alone)) < 3000


def test_events(server: Served, voice: omniggml.Model) -> None:
    answer = speech(server, stream_format="sse", response_format="pcm", codes=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line[6:]) for line in answer.data.decode().split("\n\n") if line]
    *deltas, done = events
    alone = voice.speak(TEXT)
    assert {one["type"] for one in deltas} == {"speech.audio.delta"} and len(deltas) > 1
    assert b"".join(base64.b64decode(one["audio"]) for one in deltas) == pcm16(alone.samples)
    assert np.array_equal(np.concatenate([one["codes"] for one in deltas], axis=1), alone.codes)
    tokens, frames = len(voice.tokenizer.encode(TEXT)), alone.codes.shape[1]
    assert done["type"] == "speech.audio.done"
    assert done["usage"] == {"input_tokens": tokens, "output_tokens": frames, "total_tokens": tokens + frames}


UNSPEAKABLE = "Hello \u4f60\u597d world"


def test_what_is_left_out_is_told(server: Served, voice: omniggml.Model) -> None:
    """In a header, and at the end of a stream of events; only to whom it concerns."""
    answer = speech(server, input=UNSPEAKABLE, response_format="pcm")
    assert answer.status == 200 and "'\\u4f60' (cjk unified ideograph-4f60)" in answer.headers["x-omniggml-warning"]
    assert answer.data == pcm16(voice.speak("Hello world").samples)
    answer = speech(server, input=UNSPEAKABLE, stream_format="sse")
    done = json.loads(answer.data.decode().split("\n\n")[-2][6:])
    assert len(done["warnings"]) == 1 and "\u4f60" in done["warnings"][0]
    assert "x-omniggml-warning" not in speech(server).headers
    done = json.loads(speech(server, stream_format="sse").data.decode().split("\n\n")[-2][6:])
    assert done["warnings"] == []


def test_a_warning_carries_nothing_of_the_text_unescaped(server: Served) -> None:
    """Names of tags are a client's, and of any length."""
    tags = "".join(f"<{letter * 300}\u00e9/>" for letter in "abcdefgh")
    answer = speech(server, input=f"<speak>Hello {tags} world</speak>", response_format="pcm")
    header = answer.headers["x-omniggml-warning"]
    assert answer.status == 200 and header.isascii() and header.isprintable() and len(header) <= 1000


def test_a_long_text_is_spoken_whole(server: Served, voice: omniggml.Model) -> None:
    text = " ".join(["The dog runs in the garden.", "Two cats sleep.", "It is warm today."] * 8)
    answer = speech(server, input=text, response_format="pcm")
    assert answer.data == pcm16(voice.speak(text).samples)


def test_voices(server: Served, voice: omniggml.Model) -> None:
    listed = server.ask("/v1/audio/voices").json
    assert [one["id"] for one in listed["voices"]] == voice.speakers
    said = {name: speech(server, response_format="pcm", voice=name).data for name in ("ethan", "chelsie")}
    assert said["ethan"] != said["chelsie"]
    for alias in listed["aliases"]:
        assert speech(server, response_format="pcm", voice=alias).data in said.values()
    assert speech(server, response_format="pcm", voice={"id": "Ethan"}).data == said["ethan"]
    assert speech(server, response_format="pcm").data == said[voice.default_speaker]
    mixed = speech(server, response_format="pcm", voice="ethan:0.6,chelsie:0.4")
    assert mixed.data == pcm16(voice.speak(TEXT, speaker="ethan:0.6,chelsie:0.4").samples)
    by_alias = speech(server, response_format="pcm", voice="onyx:0.6, Alloy:0.4")
    assert by_alias.data == mixed.data
    for wrong in ("ethan:x", "nobody:1", "ethan:1,nobody:1", "ethan:1,,", "ethan:-1", ":1", "ethan:1,chelsie"):
        refused = speech(server, voice=wrong)
        assert refused.status == 400 and error(refused)["param"] == "voice", wrong


def test_speed(server: Served) -> None:
    pytest.importorskip("av")
    whole = len(speech(server, response_format="pcm").data)
    for speed in (0.25, 0.5, 1.3, 4.0):
        assert abs(len(speech(server, response_format="pcm", speed=speed).data) * speed / whole - 1) < 0.1
    assert len(speech(server, response_format="pcm", speed=1).data) == whole


def test_speed_keeps_the_pitch() -> None:
    pytest.importorskip("av")
    tone = np.sin(2 * np.pi * 500 * np.arange(48000) / 24000).astype(np.float32)
    tempo = Tempo(1.7, 24000)
    heard = np.concatenate([tempo.stretch(tone[:10000]), tempo.stretch(tone[10000:]), tempo.finish()])
    assert abs(len(heard) - 48000 / 1.7) < 1200
    assert abs(np.abs(np.fft.rfft(heard)).argmax() * 24000 / len(heard) - 500) < 5


def test_without_pyav(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "av" else find(name, *rest))
    for field in ({"response_format": "opus"}, {"response_format": "aac"}, {"speed": 1.5}):
        refused = speech(server, **field)
        assert refused.status == 400 and "PyAV" in error(refused)["message"]
    assert speech(server, response_format="mp3", speed=1.0).status == 200


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": None}, "input"),
        ({"input": 3}, "input"),
        ({"speed": 0.2}, "speed"),
        ({"speed": float("nan")}, "speed"),
        ({"response_format": "exe"}, "response_format"),
        ({"stream_format": "x"}, "stream_format"),
        ({"voice": "nobody"}, "voice"),
        ({"voice": 3}, "voice.str"),
        ({"instructions": "whisper"}, "instructions"),
        ({"seed": -(2**63) - 1}, "seed"),
        ({"seed": 2**64}, "seed"),
        ({"input": "x" * 100_001}, "input"),
    ],
)
def test_what_is_wrong_is_named(server: Served, fields: dict[str, Any], param: str) -> None:
    answer = speech(server, **fields)
    assert answer.status == 400 and error(answer)["param"] == param and error(answer)["type"] == "invalid_request_error"


def test_texts_that_say_nothing(server: Served) -> None:
    for text in ("   ", "\u200b", "\0", "\ud800", "!!!"):
        answer = speech(server, input=text)
        assert answer.status == 400 and error(answer)["message"].isprintable()


def test_other_wrongs(server: Served) -> None:
    assert error(server.ask("/v1/audio/speech", b"{"))["code"] == "invalid_request"
    assert server.ask("/v1/audio/speech", b"[" * 100_000).status == 400
    assert server.ask("/v1/audio/speech", b'{"seed": ' + b"9" * 5000 + b"}").status == 400
    assert server.ask("/v1/audio/speech", b"a=b", content_type="application/x-www-form-urlencoded").status == 415
    assert server.ask("/v1/audio/speech").status == 405
    assert error(server.ask("/v1/nothing"))["type"] == "not_found_error"
    for kind in ("multipart/form-data; boundary=x", "application/json", ""):
        for path in ("/v1/audio/transcriptions", "/v1/audio/speech/x"):
            assert error(server.ask(path, b"x", content_type=kind))["type"] == "not_found_error"
        assert server.ask("/health", b"x", content_type=kind).status == 405
    assert server.ask("/v1/models/gpt-4").status == 404
    assert server.ask("/v1/models/omniggml").json["object"] == "model"


def test_a_number_that_is_none_is_called_that(server: Served) -> None:
    assert "finite" in error(speech(server, speed=float("nan")))["message"]


def test_seeds_with_a_sign(server: Served) -> None:
    said = [speech(server, seed=seed, response_format="pcm").data for seed in (-1, 2**64 - 1)]
    assert said[0] == said[1]


@pytest.mark.parametrize("path", ["/", "/health", "/v1/models", "/metrics", "/page/page.js"])
def test_heads(server: Served, path: str) -> None:
    """As monitors and `wget --spider` ask: what GET says, without its body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    for _ in range(2):  # on one connection: no byte is left over
        connection.request("HEAD", path)
        answer = connection.getresponse()
        asked = server.ask(path)
        assert answer.status == asked.status and answer.read() == b""
        assert answer.headers["content-type"] == asked.headers["content-type"]
    connection.request("HEAD", "/v1/audio/speech")
    assert connection.getresponse().status == 405
    connection.close()


def test_the_schema_tells_the_truth_about_errors(server: Served) -> None:
    paths = server.ask("/openapi.json").json["paths"]
    assert "/v1/audio/speech" in paths
    for path in paths.values():
        for operation in path.values():
            assert "422" not in operation["responses"]


def test_metrics_and_health(server: Served) -> None:
    speech(server)
    page = server.ask("/metrics").data.decode()
    for name in ("requests_total", "queue_speeches", "slots_busy", "first_audio_seconds", "frame_seconds"):
        assert f"omniggml_{name}" in page
    assert server.ask("/health").json == {"status": "ready"}


# --- who may ask ------------------------------------------------------------------------------------------------------


def test_other_addresses_want_a_key() -> None:
    for host in ("0.0.0.0", "192.168.1.2", "::", "example.org"):
        with pytest.raises(InputError, match="--api-key"):
            ServerSettings(host=host)
        ServerSettings(host=host, api_keys=("a long enough key",))
        ServerSettings(host=host, unprotected=True)
    for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost"):
        ServerSettings(host=host)
    with pytest.raises(InputError, match="fewer than"):
        ServerSettings(api_keys=("short",))


def test_keys(voice: omniggml.Model) -> None:
    with served(voice, api_keys=("first-key-1", "second-key-2")) as server:
        refused = server.ask("/v1/models")
        assert refused.status == 401 and error(refused)["type"] == "authentication_error"
        assert server.ask("/v1/models", authorization="Bearer first-key").status == 401
        assert server.ask("/v1/audio/speech", {"input": "x"}, authorization="Basic first-key-1").status == 401
        assert server.ask("/metrics").status == 401 and server.ask("/openapi.json").status == 401
        for key in ("first-key-1", "second-key-2"):
            assert server.ask("/v1/models", authorization=f"Bearer {key}").status == 200
        assert server.ask("/health").status == 200


def test_pages_elsewhere_may_not(server: Served, voice: omniggml.Model) -> None:
    assert server.ask("/v1/models", origin="http://evil.example").status == 403
    assert server.ask("/v1/models", origin="null").status == 403
    assert server.ask("/v1/models", host="evil.example").status == 403
    assert server.ask("/v1/models", host="[").status == 403
    assert server.ask("/v1/models", origin=server.url).status == 200
    assert server.ask("/v1/models", host=f"localhost:{server.port}").status == 200
    assert "access-control-allow-origin" not in server.ask("/v1/models").headers
    with served(voice, cors=("http://my.example",), hosts=("my-server",)) as other:
        answer = other.ask("/v1/models", origin="http://my.example")
        assert answer.status == 200 and answer.headers["access-control-allow-origin"] == "http://my.example"
        assert other.ask("/v1/models", origin="http://evil.example").status == 403
        assert other.ask("/v1/models", host="my-server:80").status == 200


# --- limits -----------------------------------------------------------------------------------------------------------


def test_large_requests(voice: omniggml.Model) -> None:
    with served(voice, max_body=2048) as server:
        assert server.ask("/v1/audio/speech", b'{"input":"' + b"x" * 4000 + b'"}').status == 413
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            head = "POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            client.sendall(f"{head}Content-Length: 1000000000\r\n\r\n".encode())
            assert b" 413 " in client.recv(100)
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
            client.sendall((b"400\r\n" + b"x" * 1024 + b"\r\n") * 3)
            assert b" 413 " in client.recv(100)


def test_slow_clients_are_given_up(voice: omniggml.Model) -> None:
    with served(voice, idle_seconds=1) as server:
        for sent in (b"", b"POST /v1/audio", b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /he"):
            with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
                client.sendall(sent)
                while client.recv(1000):
                    pass
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
            head = "POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            client.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
            assert b" 408 " in client.recv(100)


def test_a_server_needs_a_voice(tmp_path: Any) -> None:
    thinker = omniggml.load().path.with_name("voice-thinker.gguf")
    with pytest.raises(omniggml.OmniError, match="no voice"), served(omniggml.load(thinker=thinker)):
        pass

"""Models named as on the Hugging Face hub: found in its cache, as the real library lays that out, without network."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import pytest

import omniggml
from conftest import Files
from omniggml.cli.exit_codes import CUT
from omniggml.errors import InputError, ModelFileError
from omniggml.hub_file import HubName, hub_name, local_file
from sentences import one_sentence

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER = "f" * 40
NOBODY = "http://127.0.0.1:9"
"""An address at which nobody listens: port 9 drops what it gets, where there is such a service at all."""


def cache(directory: Path, files: dict[str, Path], commit: str = COMMIT, ref: str | None = "main") -> Path:
    """A cache with one repository, org/voice."""
    repository = directory / "models--org--voice"
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    if ref is not None:
        (repository / "refs").mkdir(exist_ok=True)
        (repository / "refs" / ref).write_text(commit)
    for name, source in files.items():
        (snapshot / name).symlink_to(source)
    return snapshot


def offline(cache_directory: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HF_HUB_CACHE": str(cache_directory), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "omniggml", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_what_lies_in_the_cache_is_not_written(tiny_files: Files, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    model = Path(shutil.copy(tiny_files.speech, tmp_path / "blob"))
    cache(tmp_path / "hub", {"a-speech.gguf": model})
    (tmp_path / "x.wav").symlink_to("blob")
    (tmp_path / "x.html").symlink_to("blob")
    for arguments in (
        ("speak", "hi", "-m", "org/voice", "-o", tmp_path / "x.wav"),
        ("doctor", "org/voice", "--html", tmp_path / "x.html"),
    ):
        done = offline(tmp_path / "hub", *arguments)
        assert done.returncode in (1, 65)
        one_sentence(done.stderr.removeprefix("omniggml: ").strip(), "is read from")
    assert model.read_bytes() == tiny_files.speech.read_bytes()


def test_from_the_cache_without_network(tiny_files: Files, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    cache(tmp_path / "hub", {"a-speech.gguf": tiny_files.speech, "b-thinker.gguf": tiny_files.thinker})
    for model in ("org/voice", "org/voice:a-speech.gguf", f"org/voice@{COMMIT}", "org/voice@main:a-speech.gguf"):
        out = tmp_path / "x.wav"
        done = offline(tmp_path / "hub", "speak", "hello", "-m", model, "-o", out, "--max-frames", 2)
        assert done.returncode == CUT, done.stderr
        assert out.stat().st_size > 60
        out.unlink()


def test_every_command_takes_them(tiny_files: Files, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    cache(tmp_path / "hub", {"a-speech.gguf": tiny_files.speech})
    for arguments in (
        ["inspect", "org/voice"],
        ["doctor", "org/voice"],
        ["quantize", "org/voice", tmp_path / "q.gguf", "--requantize"],
        ["compare", "org/voice", f"org/voice@{COMMIT}"],
        ["bench", "-m", "org/voice", "--frames", 2, "--repetitions", 1],
        ["imatrix", "-m", "org/voice:a-speech.gguf", "-o", tmp_path / "i.gguf", "--frames", 2],
    ):
        done = offline(tmp_path / "hub", *arguments)
        assert "no file" not in done.stderr and done.returncode in (0, 64), (arguments, done.stderr)


def test_a_revision_is_kept_to(tiny_files: Files, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    cache(tmp_path / "hub", {"a-speech.gguf": tiny_files.speech})
    cache(tmp_path / "hub", {"b-thinker.gguf": tiny_files.thinker}, OTHER, None)
    failed = offline(tmp_path / "hub", "speak", "hello", "-m", f"org/voice@{OTHER}", "-o", tmp_path / "x.wav")
    assert failed.returncode == 1
    one_sentence(failed.stderr.strip(), OTHER, "is a thinker")


def test_what_was_not_downloaded_before(tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    (tmp_path / "hub").mkdir()
    failed = offline(tmp_path / "hub", "speak", "hello", "-m", "org/other", "-o", tmp_path / "x.wav")
    assert failed.returncode == 1
    one_sentence(failed.stderr.strip(), "org/other", "nor was it downloaded before")


class Endpoint(BaseHTTPRequestHandler):
    """A hub with one repository, org/voice, as far as the real library asks it."""

    files: ClassVar[dict[str, Path]] = {}
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, *, body: bool) -> None:
        self.asked.append(f"{self.command} {self.path}")
        about = self.path.partition("?")[0] in ("/api/models/org/voice", "/api/models/org/voice/revision/main")
        name = self.path.partition("/resolve/")[2].partition("/")[2]
        if about:
            siblings = [{"rfilename": file} for file in self.files]
            self._send(json.dumps({"id": "org/voice", "sha": COMMIT, "siblings": siblings}).encode(), body)
        elif self.path.startswith("/org/voice/resolve/") and name in self.files:
            self._send(self.files[name].read_bytes(), body)
        else:
            self.send_response(404)
            missing = "RevisionNotFound" if "/org/voice/" in self.path else "RepoNotFound"
            self.send_header("X-Error-Code", missing)
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _send(self, content: bytes, body: bool) -> None:
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def endpoint(tiny_files: Files) -> Iterator[str]:
    """Its address, for as long as the test lasts."""
    Endpoint.files = {"a-speech.gguf": tiny_files.speech, "a-thinker.gguf": tiny_files.thinker}
    Endpoint.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def asking(endpoint: str, cache_directory: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    settings = {"HF_ENDPOINT": endpoint, "HF_HUB_CACHE": str(cache_directory), "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-m", "omniggml", *map(str, arguments)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")} | settings
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_downloaded_and_spoken_again_without_network(endpoint: str, tmp_path: Path) -> None:
    """The speech file alone; then from the cache, where nobody answers."""
    pytest.importorskip("huggingface_hub")
    speaking = ["speak", "hello", "-m", "org/voice", "--max-frames", 2, "-o", tmp_path / "x.wav"]
    done = asking(endpoint, tmp_path / "hub", *speaking)
    assert done.returncode == CUT, done.stderr
    assert not any("thinker" in asked for asked in Endpoint.asked)
    (tmp_path / "x.wav").unlink()
    again = asking(NOBODY, tmp_path / "hub", *speaking)
    assert again.returncode == CUT and "Retrying" not in again.stderr, again.stderr


def test_nobody_answers(tmp_path: Path) -> None:
    """One sentence, and none of the library's attempts."""
    pytest.importorskip("huggingface_hub")
    for arguments in (
        ["inspect", "org/voice"],
        ["speak", "hello", "-m", "org/voice:a-speech.gguf", "-o", tmp_path / "x.wav"],
        ["convert", "org/voice", "-o", tmp_path],
    ):
        failed = asking(NOBODY, tmp_path / "hub", *arguments)
        assert failed.returncode == 1
        one_sentence(failed.stderr.strip(), "org/voice can't be taken from the Hugging Face hub")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["inspect", "org/vioce"], ("the Hugging Face hub has no org/vioce", "check how it is spelled")),
        (["convert", "org/vioce", "-o", "x"], ("the Hugging Face hub has no org/vioce", "check how it is spelled")),
        (["inspect", "org/voice@v9"], ("org/voice has no revision v9",)),
        (["inspect", "org/voice:b.gguf"], ("has no file b.gguf", "a-speech.gguf")),
    ],
)
def test_what_the_hub_does_not_have(
    endpoint: str, tmp_path: Path, arguments: list[str], parts: tuple[str, ...]
) -> None:
    pytest.importorskip("huggingface_hub")
    failed = asking(endpoint, tmp_path / "hub", *arguments)
    assert failed.returncode == 1
    one_sentence(failed.stderr.strip(), *parts)


class Hub(ModuleType):
    """Stands in for huggingface_hub with a network: hands out files of a directory, and remembers which."""

    def __init__(self, files: dict[str, Path]) -> None:
        super().__init__("huggingface_hub")
        self.files, self.fetched = files, list[tuple[str, str | None]]()

    def HfApi(self) -> Hub:
        return self

    def model_info(self, repository: str, revision: str | None, timeout: float) -> SimpleNamespace:
        return SimpleNamespace(siblings=[SimpleNamespace(rfilename=name) for name in (*self.files, "README.md")])

    def hf_hub_download(self, repository: str, file: str, revision: str | None) -> str:
        self.fetched.append((file, revision))
        return str(self.files[file])

    def snapshot_download(self, *_: object, **__: object) -> str:
        raise OSError("no cache")


def hub(monkeypatch: pytest.MonkeyPatch, files: dict[str, Path]) -> Hub:
    made = Hub(files)
    monkeypatch.setitem(sys.modules, "huggingface_hub", made)
    return made


def test_the_speech_file_alone_is_fetched(tiny_files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    made = hub(monkeypatch, {"x-speech.gguf": tiny_files.speech, "x-thinker.gguf": tiny_files.thinker})
    model = omniggml.load("org/voice@v1", n_threads=1)
    assert made.fetched == [("x-speech.gguf", "v1")] and model.path == tiny_files.speech
    omniggml.load(thinker="org/voice:x-thinker.gguf")
    assert made.fetched[1:] == [("x-thinker.gguf", None)]


def test_all_members_of_a_split_are_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"x-speech-{n:05d}-of-00003.gguf" for n in (1, 2, 3)]
    made = hub(monkeypatch, {name: tmp_path / name for name in [*names, "x-thinker-00001-of-00002.gguf"]})
    assert local_file("org/voice") == tmp_path / names[0]
    assert [name for name, _ in made.fetched] == names


CHOICES: list[tuple[list[str], str, tuple[str, ...]]] = [
    (["a-speech.gguf", "b-speech.gguf"], "org/voice", ("several", "org/voice:FILE", "a-speech.gguf")),
    (["model.safetensors"], "org/voice", ("checkpoint", "omniggml convert org/voice")),
    ([], "org/voice", ("no GGUF",)),
    (["a-speech.gguf"], "org/voice:b.gguf", ("no file b.gguf", "a-speech.gguf")),
]


@pytest.mark.parametrize(("files", "name", "parts"), CHOICES)
def test_no_choice(monkeypatch: pytest.MonkeyPatch, files: list[str], name: str, parts: tuple[str, ...]) -> None:
    hub(monkeypatch, dict.fromkeys(files, Path("x")))
    with pytest.raises(ModelFileError) as error:
        local_file(name)
    one_sentence(str(error.value), *parts)


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError) as error:
        omniggml.load("org/voice")
    one_sentence(str(error.value), "pip install 'huggingface_hub")


NAMES: dict[str, Any] = {
    "org/voice": HubName("org/voice", None, ""),
    "org/voice:sub/x.gguf": HubName("org/voice", None, "sub/x.gguf"),
    "org/voice@v1.0:x.gguf": HubName("org/voice", "v1.0", "x.gguf"),
    "models/x.gguf": None,
    "/models/x": None,
    "x.gguf": None,
    "a/b/c": None,
    "./a/b.gguf": None,
}


@pytest.mark.parametrize("name", NAMES)
def test_names(name: str) -> None:
    assert hub_name(name) == NAMES[name]


def test_a_file_that_is_there_is_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org").mkdir()
    (tmp_path / "org" / "voice").touch()
    assert hub_name("org/voice") is None

"""The whole command line under mutated files of every kind that it takes, and hostile arguments: anything but an exit
with one sentence, in bounds of time and memory, is a find.

`python tests/fuzz_cli.py --runs 50000 --log FILE` (see `scripts/fuzz_cli.sh`) writes a line of JSON for each run and
ends with 1 where there was a find. A run is its number's own: `--first N --runs 1 --keep DIRECTORY` shows it again.
"""
# ruff: noqa: E501, RUF001, SIM115

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from omniggml.cli.exit_codes import CUT

LONGEST = 40.0
"""Seconds of one run on a busy machine."""

MOST_CPU = 30
"""Seconds of a processor."""

MOST_MEMORY = 1 << 30
"""Bytes: the interpreter with NumPy, the small model, and what a hostile file may cost beside its own size."""

_ENDED = 128 + signal.SIGTERM
_GOOD = {
    "compare": (0, 2),
    "inspect": (0, 1),
    "speak": (0, CUT),
    "chat": (0, CUT),
    "batch": (0, CUT),
    "serve": (0, _ENDED),
}
"""Exit codes that say what was found or done, by command. A server that is told to end before it listens was ended."""

_DECODER = re.compile(r"\[src/libmpg123/|Note: |Warning: ")
"""How the lines of libsndfile's decoder for MP3 begin, which it prints past everybody."""

INTERESTING = (0, 1, 2, 31, 33, 255, 2**16, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**63, 2**64 - 1)
NUMBERS = (
    "0",
    "-1",
    "1",
    "3",
    "1e308",
    "1e20",
    "-1e400",
    "nan",
    "inf",
    "99999999999999999999",
    "0.5",
    "x",
    "",
    "1_0",
    "٣",
)
TEXTS = (
    "hello", "", " ", "-", "--", "\0", "\ud800", "a" * 5000, "é\n\x1b[31m", "\u202e", "<|im_end|>", "１２", "😀" * 300,
    "word " * 30000, "\udcff", "{{ 1 }}", "%s%n", "../x", "\u0301" * 500,
)  # fmt: skip
PATHS = (
    "", ".", "/", "none", "none/none", "/dev/null", "/dev/zero", "/dev/full", "/proc/self/mem", "-", "n" * 300, "a\0b",
    "\ud800", "fifo", "loop", "dangling", "locked", "line\nend", "/etc/passwd", "org/repo", "~", "x/../..",
)  # fmt: skip
MARKUP = (
    "<speak>hello</speak>", "<speak>", "<break time='-1s'/>", "<break time='99999999999s'/>", "<p><s>a</s>", "&lol;", "<!DOCTYPE x>",
    "<sub alias=''>x</sub>", "<say-as interpret-as='date'>99/99/9999</say-as>", "<speak>" + "<p>" * 5000, "<a b=c>", "]]>",
    "<speak xmlns='x:y'><prosody rate='200%'>hi</prosody></speak>", "<break/>" * 3000, "<voice name='\0'>a</voice>",
)  # fmt: skip
OVERRIDES = (
    "talker.rope_theta", "talker.num_hidden_layers", "code2wav.num_quantizers", "code2wav.codebook_size", "talker.vocab_size",
    "thinker.num_experts", "talker.speakers", "code2wav.upsample_rates", "token.im_end", "talker.norm_topk_prob", "x", "x.y",
    "code2wav.rms_norm_eps", "talker.head_dim", "code_predictor.num_code_groups", "talker.mrope_section", ".", "=",
    "thinker.hidden_size", "code2wav.sliding_window", "talker.max_position_embeddings", "talker.num_experts_per_tok",
)  # fmt: skip
VALUES = (*NUMBERS, "1,2,3", "a:1", "true", "1000000000", "2147483648", ",", ":", "1,x", "a:b:c", "[1]", "-5,0")


@dataclass
class Scene:
    """The files that runs begin with, and where this one may write."""

    seeds: dict[str, Path]
    place: Path
    rng: random.Random

    def seed(self, kind: str) -> str:
        """A seed of a kind as it is."""
        names = [name for name in self.seeds if name.startswith(kind)]
        return str(self.seeds[self.rng.choice(names)])

    def file(self, kind: str, change: float = 0.7) -> str:
        """A path for an argument that takes such a file: mostly one of that kind with something wrong in it."""
        dice = self.rng.random()
        if dice < 0.06:
            return self.rng.choice(PATHS)
        if dice < 0.12:
            return self.seed("")
        if self.rng.random() > change:
            return self.seed(kind)
        source = Path(self.seed(kind))
        target = self.place / f"{self.rng.randrange(10**6)}-{source.name}"
        if source.is_dir():
            shutil.copytree(source, target)
            self._spoil_one(target)
            return str(target)
        mutate = by_ending.get(source.suffix, mutated)
        target.write_bytes(mutate(source.read_bytes(), self.rng))
        return str(target)

    def _spoil_one(self, directory: Path) -> None:
        path = self.rng.choice(sorted(directory.iterdir()))
        dice = self.rng.randrange(6)
        content = path.read_bytes()
        path.unlink()
        if dice == 0:
            os.mkfifo(path)
        elif dice == 1:
            path.symlink_to("/dev/zero")
        elif dice == 2:
            path.mkdir()
        else:
            path.write_bytes(by_ending.get(path.suffix, mutated)(content, self.rng))

    def output(self, ending: str) -> str:
        """A path to write to."""
        if self.rng.random() < 0.2:
            return self.rng.choice(
                [path for path in PATHS if not path.startswith(("/etc", "/proc", "~", "x/", "fifo"))]
            )
        if self.rng.random() < 0.1:
            return self.seed("")
        return str(self.place / f"out{ending}")

    def number(self) -> str:
        return self.rng.choice(NUMBERS)

    def text(self) -> str:
        return self.rng.choice(TEXTS) if self.rng.random() < 0.5 else "hi there"


# --- mutations --------------------------------------------------------------------------------------------------------


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Bytes with one to three things wrong, mostly near the beginning."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 3)):
        end = max(9, min(len(changed), rng.choice((64, 4096, 20_000, len(changed)))))
        at = rng.randrange(end - 8)
        kind = rng.randrange(6)
        if kind == 0:
            changed = changed[: rng.choice((at, len(changed) - at))]
        elif kind == 1:
            size = rng.choice((1, 4, 8))
            changed[at : at + size] = struct.pack("<Q", rng.choice(INTERESTING))[:size]
        elif kind == 2 and changed:
            changed[min(at, len(changed) - 1)] ^= 1 << rng.randrange(8)
        elif kind == 3:
            other, size = rng.randrange(end - 8), rng.choice((4, 8, 32))
            changed[at : at + size] = changed[other : other + size]
        elif kind == 4:
            changed += bytes(rng.choice((1, 32, 4096)))
        else:
            del changed[at : at + rng.choice((1, 8, 32))]
    return bytes(changed)


def mutated_text(content: bytes, rng: random.Random) -> bytes:
    """Text with something exchanged that a parser looks at."""
    if rng.random() < 0.3:
        return mutated(content, rng)
    pieces = (b"\xff\xfe", b"\\ud800", b"1e308", b"-1", b"[" * 20_000, b"{" * 2000, b"null", b'""', b"[]", b"NaN", b"true",
              b"99999999999999999999999", b"\0", b"\n", b"1e-400", b'"x"', b"{}", b"0.5", b",", b"=", b'"', b"[[1]]")  # fmt: skip
    changed = content
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(changed) + 1)
        end = min(len(changed), at + rng.choice((0, 1, 1, 3, 10)))
        if rng.random() < 0.6:  # a value after a colon or an equals sign
            marks = [i for i, letter in enumerate(changed) if letter in b":="]
            if marks:
                at = rng.choice(marks) + 1
                stops = [i for i in (changed.find(b",", at), changed.find(b"\n", at)) if i >= 0]
                end = min(stops, default=len(changed))
        changed = changed[:at] + rng.choice(pieces) + changed[end:]
    return changed


def mutated_gguf(content: bytes, rng: random.Random) -> bytes:
    """A GGUF file, changed as bytes or field by field: types, values and names that were not meant."""
    if rng.random() < 0.4:
        return mutated(content, rng)
    from gguf import GGUFValueType as V

    from gguf_edit import GgufEdit

    with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
        Path(file.name).write_bytes(content)
        edit = GgufEdit.read(Path(file.name))
        try:
            for _ in range(rng.randint(1, 3)):
                _change_field(edit, rng, V)
            edit.write(Path(file.name))
        except (ValueError, TypeError, IndexError, KeyError, AttributeError, struct.error):
            return mutated(content, rng)  # what the editor can't spell
        return Path(file.name).read_bytes()


def _change_field(edit: Any, rng: random.Random, V: Any) -> None:
    kind = rng.randrange(8)
    keys = [key for key, _ in edit.metadata]
    key = rng.choice(keys)
    if kind <= 2:
        value, type_ = rng.choice((
            (0, V.UINT32), (2**32 - 1, V.UINT32), (-1, V.INT32), (2**63 - 1, V.INT64), (float("nan"), V.FLOAT32),
            (1e308, V.FLOAT64), (float("-inf"), V.FLOAT64), (True, V.BOOL), ("", V.STRING), (b"\xff\xfe", V.STRING),
            ("a\n\x1b[31m" * 3, V.STRING), ("x" * 100_000, V.STRING), (7, V.UINT8),
        ))  # fmt: skip
        edit.set(key, value, type_)
    elif kind == 3:
        edit.remove(key)
    elif kind == 4:
        edit.append(
            rng.choice(("general.odd\n", "x" * 300, b"\xff", "tokenizer.chat_template", key)), "{% if %}", V.STRING
        )
    elif kind == 5:
        tensor = rng.choice(edit.tensors)
        tensor.name = rng.choice(
            ("a\n\x1b[2J", "x" * 300, "", rng.choice(edit.tensors).name, b"\xff\xfe", "talker.x.weight")
        )
    elif kind == 6:
        rng.choice(edit.tensors).type = rng.choice((0, 1, 2, 8, 12, 14, 30, 39, 99))
    else:
        tensor = rng.choice(edit.tensors)
        tensor.ne = rng.choice(([1], [0], [2**31, 2**31], [64, 1], tensor.ne[::-1], [*tensor.ne, 1]))


by_ending: dict[str, Callable[[bytes, random.Random], bytes]] = {
    ".gguf": mutated_gguf,
    ".json": mutated_text,
    ".toml": mutated_text,
    ".txt": mutated_text,
    ".csv": mutated_text,
    ".jsonl": mutated_text,
    ".jinja": mutated_text,
}


# --- commands ---------------------------------------------------------------------------------------------------------


def model_arguments(s: Scene) -> list[str]:
    """A model, often with something wrong."""
    out = ["--threads", s.rng.choice(("1", "1", "1", "1", s.number()))]
    if s.rng.random() < 0.9:
        out += ["-m", s.file("speech" if s.rng.random() < 0.7 else "")]
    for option, kind, chance in (
        ("--thinker", "thinker", 0.15),
        ("--mmproj", "mmproj", 0.1),
        ("--code2wav", "code2wav", 0.1),
        ("--tokenizer", "ckpt", 0.05),
    ):
        if s.rng.random() < chance:
            out += [option, s.file(kind)]
    while s.rng.random() < 0.15:
        out += ["--override", f"{s.rng.choice(OVERRIDES)}={s.rng.choice(VALUES)}"]
    if s.rng.random() < 0.08:
        out += [
            "--device",
            s.rng.choice(("cpu", "cuda:0", "auto", "", "x", "127.0.0.1:1", "\0", "a:99999", "cuda", "é")),
        ]
    if s.rng.random() < 0.2:
        out += ["--no-mmap"]
    return out


def speech_arguments(s: Scene) -> list[str]:
    options = ("--seed", "--temperature", "--top-k", "--top-p", "--repetition-penalty", "--predictor-temperature",
               "--predictor-top-k", "--predictor-top-p", "--chunk-frames", "--longest-span", "--split")  # fmt: skip
    out = ["--max-frames", s.rng.choice(("1", "2", "2", "2", s.number()))] if s.rng.random() < 0.98 else ["--greedy"]
    for option in options:
        if s.rng.random() < 0.08:
            out += [option, s.number()]
    if s.rng.random() < 0.1:
        out += ["--speaker", s.text()]
    return out


def speak(s: Scene) -> list[str]:
    out = ["speak", s.text(), "-o", s.output(".wav"), *model_arguments(s), *speech_arguments(s)]
    if s.rng.random() < 0.2:
        out[1] = s.rng.choice(MARKUP)
        out += ["--ssml"]
    return [*out, "--subtitles", s.output(s.rng.choice((".srt", ".vtt", ".x")))] if s.rng.random() < 0.1 else out


def chat(s: Scene) -> list[str]:
    tokens = s.rng.choice(("1", "2", "2", s.number()))
    out = ["chat", s.text(), "-o", s.output(".wav"), *model_arguments(s), *speech_arguments(s), "--max-tokens", tokens]
    return [*out, "--system", s.text()] if s.rng.random() < 0.2 else out


def perceive(s: Scene) -> list[str]:
    """A chat about sounds, images and videos: the model is mostly sound, what is heard or seen mostly not."""
    change = s.rng.choice((0.0, 0.0, 0.7))
    out = ["chat", "-o", str(s.place / "out.wav"), "--threads", "1", "--max-frames", "1", "--max-tokens", "1"]
    for option, kind in (
        ("-m", "speech-q8_0"),
        ("--thinker", "thinker"),
        ("--mmproj", s.rng.choice(("mmproj-both", "mmproj-both", "mmproj"))),
    ):
        out += [option, s.file(kind, change) if s.rng.random() < 0.95 else s.file("")]
    for option, kind in s.rng.choices(
        (("--audio", "audio"), ("--image", "image"), ("--video", "video")), k=s.rng.randint(1, 2)
    ):
        out += [option, s.file(kind, 0.8)]
    for option in ("--fps", "--max-pixels"):
        if s.rng.random() < 0.1:
            out += [option, s.number()]
    return [*out, "--", s.text()] if s.rng.random() < 0.6 else out


def batch(s: Scene) -> list[str]:
    out = ["batch", s.file("list"), "-o", s.output(""), *model_arguments(s), *speech_arguments(s)]
    for option, value in (("--slots", s.number()), ("--format", s.rng.choice(("flac", "wav", "mp3", "")))):
        if s.rng.random() < 0.2:
            out += [option, value]
    return out


def serve(s: Scene) -> list[str]:
    """Servers that come to listen are asked to end by `_be_the_command`."""
    out = ["serve", "--port", s.rng.choice(("0", "0", "0", s.number())), *model_arguments(s)]
    for option in ("--slots", "--queue", "--per-key", "--max-characters", "--max-frames", "--max-body", "--max-connections",
                   "--max-seconds", "--idle-seconds", "--drain-seconds"):  # fmt: skip
        if s.rng.random() < 0.06:
            out += [option, s.number()]
    for option in (
        "--host",
        "--api-key",
        "--api-key-file",
        "--allow-host",
        "--cors",
        "--thinker-key",
        "--thinker-model",
    ):
        if s.rng.random() < 0.05:
            out += [option, s.rng.choice((s.text(), s.rng.choice(PATHS), "127.0.0.1"))]
    return out


def decode(s: Scene) -> list[str]:
    return [
        "decode",
        s.file("codes"),
        "-o",
        s.output(s.rng.choice((".wav", ".flac", ".raw", ".xyz"))),
        *model_arguments(s),
    ]


def convert(s: Scene) -> list[str]:
    out = ["convert", s.file("ckpt", 0.9), "-o", str(s.place / "out") if s.rng.random() < 0.9 else s.seed("")]
    for option, value, chance in (("--name", s.text()[:300], 0.3), ("--lora", s.file("lora"), 0.1),
                                  ("--only", s.rng.choice(("speech", "thinker", "mmproj", "x")), 0.2),
                                  ("--layout", s.rng.choice(("own", "mtmd-gen", "")), 0.1)):  # fmt: skip
        if s.rng.random() < chance:
            out += [option, value]
    return [*out, "--type", s.rng.choice(("f32", "q8_0"))]


def quantize(s: Scene) -> list[str]:
    out = [
        "quantize",
        s.file(s.rng.choice(("speech", "thinker", "all", "bundled", "code2wav", "mmproj", "part"))),
        s.output(".gguf"),
    ]
    if s.rng.random() < 0.1:
        out += ["--split-max-size", s.rng.choice(("100K", "1M", "1G", "0", "x", s.number()))]
    if s.rng.random() < 0.5:
        out += ["--policy", s.file("policy") if s.rng.random() < 0.7 else s.rng.choice(("q4_k", "f32", "x", "", "f16"))]
    if s.rng.random() < 0.4:
        out += ["--imatrix", s.file("imatrix")]
    return [*out, "--requantize"] if s.rng.random() < 0.6 else out


def search(s: Scene) -> list[str]:
    out = ["quantize", "--search", s.file("speech"), s.output(".toml"), "--frames", s.number(), "--threads", "1"]
    return [*out, "--text", s.file("texts"), "--size", s.number()]


def imatrix(s: Scene) -> list[str]:
    return [
        "imatrix",
        "-o",
        s.output(".gguf"),
        "--text",
        s.file("texts"),
        "--frames",
        s.rng.choice(("1", s.number())),
        *model_arguments(s),
    ]


def inspect(s: Scene) -> list[str]:
    out = [
        "inspect",
        s.file(
            s.rng.choice(("speech", "thinker", "all", "bundled", "code2wav", "imatrix", "mmproj", "mtmd", "part")), 0.95
        ),
    ]
    return [*out, "--json"] if s.rng.random() < 0.5 else out


def doctor(s: Scene) -> list[str]:
    out = [
        "doctor",
        s.file(s.rng.choice(("speech", "all", "bundled", "code2wav", "thinker", "mmproj")), 0.85),
        "--threads",
        "1",
        "--quiet",
    ]
    for option, kind, chance in (("--codes", "codes", 0.3), ("--audio", "audio", 0.2), ("--theirs", "dump", 0.2),
                                 ("--reference", "speech", 0.1), ("--heard", "audio", 0.1), ("--tokenizer", "ckpt", 0.05)):  # fmt: skip
        if s.rng.random() < chance:
            out += [option, s.file(kind)]
    if s.rng.random() < 0.2:
        out += ["--text", s.text(), "--speaker", s.text()]
    if s.rng.random() < 0.1:
        out += ["--override", f"{s.rng.choice(OVERRIDES)}={s.rng.choice(VALUES)}"]
    if s.rng.random() < 0.1:
        out += ["--html", s.output(".html")]
    return [*out, "--json"] if s.rng.random() < 0.5 else out


def compare(s: Scene) -> list[str]:
    return ["compare", s.file("speech"), s.file("speech"), "--threads", "1", "--text", s.text(), "--json"]


def plot(s: Scene) -> list[str]:
    return ["plot", s.file(s.rng.choice(("audio", "codes", "rows"))), "-o", s.output(".png")]


def bench(s: Scene) -> list[str]:
    out = ["bench", "-m", s.file("speech"), "--frames", s.rng.choice(("1", s.number())), "--threads", "1"]
    return [
        *out,
        "--repetitions",
        s.rng.choice(("1", "-1", "x")),
        "--together",
        s.rng.choice(("1", "0", "99999", "nan")),
    ]


def misuse(s: Scene) -> list[str]:
    words = [
        "speak",
        "doctor",
        "inspect",
        "--json",
        "-o",
        "-m",
        "--",
        "-",
        "--help",
        "--version",
        "x",
        *TEXTS,
        *NUMBERS,
        *PATHS,
    ]
    return [s.rng.choice(words) for _ in range(s.rng.randint(0, 5))]


COMMANDS: dict[Callable[[Scene], list[str]], int] = {
    speak: 12, chat: 6, perceive: 14, batch: 4, serve: 1, decode: 10, convert: 12, quantize: 12, search: 1, imatrix: 2,
    inspect: 25, doctor: 9, compare: 2, plot: 4, bench: 1, misuse: 5,
}  # fmt: skip


_NAMES = (
    "speak", "chat", "serve", "batch", "voices", "decode", "convert", "quantize", "imatrix", "inspect", "doctor", "compare",
    "plot", "bench", "devices",
)  # fmt: skip
"""Of commands, as they are typed."""


# --- runs -------------------------------------------------------------------------------------------------------------


def write_scene(directory: Path) -> dict[str, Path]:
    """Seeds of every kind of file, by name."""
    import numpy as np
    import soundfile

    from fuzz_seeds import smallest, write_seeds
    from omniggml.synthetic.ears import ears_for
    from omniggml.synthetic.eyes import eyes_for
    from omniggml.synthetic.random_checkpoint import write_random_checkpoint

    seeds = {path.name: path for path in write_seeds(directory)}
    tiny = smallest("tiny", (2, 2, 2, 2))
    seeds["ckpt"] = write_random_checkpoint(tiny, directory / "ckpt")
    seeds["ckpt-media"] = write_random_checkpoint(
        tiny, directory / "ckpt-media", audio=ears_for(tiny), vision=eyes_for(tiny)
    )
    codes = np.random.default_rng(0).integers(0, 60, (4, 6))
    np.save(directory / "codes.npy", codes)
    np.savez(directory / "codes.npz", codes=codes)
    from safetensors.numpy import save_file

    save_file({"codes": codes}, directory / "codes.safetensors")
    names = ("code2wav.pre_transformer.layers.0.mlp", "talker.model.layers.0.mlp")
    np.savez(directory / "dump.npz", **{name: np.zeros((1, 3, 32), np.float32) for name in names})
    save_file({name: np.ones((1, 3, 32), np.float32) for name in names}, directory / "dump.safetensors")
    soundfile.write(directory / "audio.wav", np.sin(np.arange(3000) / 7) / 3, 24000)
    soundfile.write(directory / "audio.flac", np.sin(np.arange(3000) / 7) / 3, 24000)
    (directory / "policy.toml").write_text('use = ["sensitive"]\nrules = [["talker.*", "Q4_K"]]\notherwise = "Q8_0"\n')
    (directory / "texts.txt").write_text("hello\nyou there\n")
    (directory / "list.csv").write_text("id,text,speaker,seed\na,hello,,1\nb,hi,,2\n")
    (directory / "list.jsonl").write_text('{"id": "a", "text": "hello"}\n{"id": "b", "text": "hi", "seed": 3}\n')
    (directory / "list.txt").write_text("hello\nhi\n")
    row = {"module": "a", "inside": True, "local": {"nmse": 0.1}, "accumulated": {"nmse": 0.2}}
    (directory / "rows.json").write_text(json.dumps({"rows": [row, row]}))
    for path in ("codes.npy", "codes.npz", "codes.safetensors", "dump.npz", "dump.safetensors", "audio.wav", "audio.flac",
                 "policy.toml", "texts.txt", "rows.json", "list.csv", "list.jsonl", "list.txt"):  # fmt: skip
        seeds[path] = directory / path
    _write_parts(directory, seeds)
    _write_media(directory, seeds)
    _write_adapter(directory, seeds)
    _write_imatrices(directory, seeds)
    return seeds


def _write_parts(directory: Path, seeds: dict[str, Path]) -> None:
    """A thinker in several files. A mutated member comes without the others."""
    from omniggml import quantize

    split = quantize(seeds["thinker.gguf"], directory / "part.gguf", split_max_size=40_000, requantize=True)
    assert split
    for path in sorted(directory.glob("part-*.gguf")):
        seeds[path.name] = path


def _write_media(directory: Path, seeds: dict[str, Path]) -> None:
    """Sounds, images and videos as other programs write them."""
    import numpy as np
    import soundfile

    sound = np.stack([np.sin(np.arange(8000) / 7) / 3] * 2, axis=1)
    for name in ("audio.ogg", "audio.mp3", "audio.aiff", "audio.au", "audio.caf", "audio.w64"):
        soundfile.write(directory / name, sound, 16000)
        seeds[name] = directory / name
    pixels = np.random.default_rng(0).integers(0, 255, (24, 40, 3), dtype=np.uint8)
    with contextlib.suppress(ImportError):
        from PIL import Image

        picture = Image.fromarray(pixels)
        for name in ("image.png", "image.jpg", "image.gif", "image.webp", "image.bmp", "image.tiff", "image.ppm"):
            picture.save(directory / name)
            seeds[name] = directory / name
    with contextlib.suppress(ImportError):
        import av

        for name, codec in (("video.mp4", "mpeg4"), ("video.mkv", "mpeg4"), ("video.avi", "mjpeg")):
            with av.open(str(directory / name), "w") as container:
                stream = container.add_stream(codec, rate=4)
                stream.width, stream.height = 64, 48
                stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
                for number in range(4):
                    frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 60 * number, np.uint8), format="rgb24")
                    container.mux(stream.encode(frame))
                container.mux(stream.encode(None))
            seeds[name] = directory / name


def _write_adapter(directory: Path, seeds: dict[str, Path]) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    place = directory / "lora"
    place.mkdir()
    path = "base_model.model.talker.model.layers.0.self_attn.q_proj"
    width = json.loads((seeds["ckpt"] / "config.json").read_text())["talker_config"]["text_config"]
    out = width["num_attention_heads"] * width["head_dim"]
    save_file({f"{path}.lora_A.weight": np.ones((2, width["hidden_size"]), np.float32),
               f"{path}.lora_B.weight": np.ones((out, 2), np.float32)}, place / "adapter_model.safetensors")  # fmt: skip
    (place / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 2, "target_modules": ["q_proj"], "bias": "none"})
    )
    seeds["lora"] = place


def _write_imatrices(directory: Path, seeds: dict[str, Path]) -> None:
    import numpy as np

    import omniggml
    from omniggml.gguf.header import read_header
    from omniggml.quantization.imatrix import Statistics, write_imatrix

    header = read_header(seeds["speech-q8_0.gguf"])
    matrices = {name: t.shape for name, t in header.tensors.items() if len(t.shape) == 2 and "layers" in name}
    found = {name: Statistics(np.ones((1, shape[-1])), np.ones(1)) for name, shape in list(matrices.items())[:4]}
    write_imatrix(directory / "imatrix.gguf", found, ["x"])
    entries = b"".join(
        struct.pack("<i", len(name))
        + name.encode()
        + struct.pack("<ii", 1, shape[-1])
        + struct.pack("<f", 1.0) * shape[-1]
        for name, shape in list(matrices.items())[:4]
    )
    (directory / "imatrix.dat").write_bytes(struct.pack("<i", 4) + entries)
    seeds["imatrix.gguf"], seeds["imatrix.dat"] = directory / "imatrix.gguf", directory / "imatrix.dat"
    assert omniggml.inspect(seeds["speech-q8_0.gguf"]).problem == ""


def arguments_of(number: int, seeds: dict[str, Path], place: Path) -> list[str]:
    """The words of a run, with their files in `place`."""
    scene = Scene(seeds, place, random.Random(number))
    make = scene.rng.choices(list(COMMANDS), list(COMMANDS.values()))[0]
    os.mkfifo(place / "fifo")
    (place / "loop").symlink_to("loop")
    (place / "dangling").symlink_to("nowhere")
    (place / "locked").touch(0o444)
    return make(scene)


def run_once(number: int, seeds: dict[str, Path], place: Path) -> dict[str, Any]:
    """One command in a forked process; how it ended and what is wrong with that."""
    place.mkdir(parents=True)
    words = arguments_of(number, seeds, place)
    out, err = place.with_suffix(".out"), place.with_suffix(".err")
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        _be_the_command(words, place, out, err)
    status, usage, late = _waited(child, start, place / "fifo")
    said = err.read_text(encoding="utf-8", errors="backslashreplace")
    code = os.waitstatus_to_exitcode(status)
    result = {
        "run": number,
        "arguments": [word if len(word) < 200 else f"{word[:100]}... ({len(word)})" for word in words],
        "code": code,
        "seconds": round(time.monotonic() - start, 2),
        "mib": usage.ru_maxrss >> 10,
        "said": said[-600:],
    }
    wrong = finds(words, code, said, usage.ru_maxrss * 1024, late)
    if "Traceback" in out.read_text(encoding="utf-8", errors="backslashreplace"):
        wrong.append("a traceback on standard output")
    return {**result, "finds": wrong}


def _waited(child: int, start: float, fifo: Path) -> tuple[int, Any, bool]:
    late = False
    while True:
        # Who reads a pipe waits for whoever writes, for ever if need be: there is somebody.
        with contextlib.suppress(OSError):
            pipe = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
            with contextlib.suppress(OSError):
                os.write(pipe, b"hello there\n")
            os.close(pipe)
        done, status, usage = os.wait4(child, os.WNOHANG)
        if done:
            return status, usage, late
        if time.monotonic() - start > LONGEST and not late:
            late = True
            os.kill(child, signal.SIGKILL)
        time.sleep(0.002)


def _be_the_command(words: list[str], place: Path, out: Path, err: Path) -> None:
    code = 99
    try:
        os.chdir(place)
        for number, path in ((1, out), (2, err)):
            os.dup2(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), number)
        os.dup2(os.open(place.parent / "input", os.O_RDONLY), 0)
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", errors="backslashreplace")
        resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU, MOST_CPU + 5))
        resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))  # for the machine's sake
        resource.setrlimit(resource.RLIMIT_FSIZE, (256 << 20, 256 << 20))
        if words[:1] == ["serve"]:
            _end_later(os.getpid())
        from omniggml.cli import main
        from omniggml.text import template_process

        try:
            code = main(words)
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else 98
        template_process.close_idle()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        import traceback

        traceback.print_exc()
        with contextlib.suppress(OSError):
            sys.stderr.flush()
    finally:
        os._exit(code)


def _end_later(server: int) -> None:
    """A server that listens is told to end, as a system would."""
    if os.fork() == 0:
        time.sleep(4)
        with contextlib.suppress(ProcessLookupError):
            os.kill(server, signal.SIGTERM)
        os._exit(0)


def finds(words: Sequence[str], code: int, said: str, memory: int, late: bool) -> list[str]:
    """What is wrong with an end."""
    wrong = []
    if late:
        wrong.append(f"longer than {LONGEST:g} s")
    elif code < 0:
        wrong.append(f"ended by signal {-code}")
    if "Traceback" in said:
        wrong.append("a traceback")
    if memory > MOST_MEMORY:
        wrong.append(f"{memory >> 20} MiB")
    command = next((word for word in words if word in _NAMES), "")
    failed, misused = (65, 64) if command == "doctor" else (1, 2)
    good = range(64) if command == "doctor" else _GOOD.get(command, (0,))
    if code >= 0 and code not in (failed, misused, *good):
        wrong.append(f"exit code {code}")
    has_mp3 = any(word.endswith(".mp3") for word in words)
    lines = [line for line in said.splitlines() if line.strip() and not (has_mp3 and _DECODER.match(line))]
    if code == failed and not late and (lines or code not in good):
        if not lines or not lines[-1].startswith("omniggml: ") or len(lines[-1]) > 700:
            wrong.append("no sentence")
        if any(not line.startswith("omniggml: ") for line in lines):
            wrong.append("other lines on standard error")
    if any(ord(letter) < 32 and letter not in "\n" for letter in said):
        wrong.append("control characters on standard error")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=50_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--keep", type=Path, help="write the files of the runs here, and leave them")
    args = parser.parse_args()
    os.environ.update(HF_HUB_OFFLINE="1", OMP_WAIT_POLICY="passive", XDG_CACHE_HOME="/nonexistent")
    with tempfile.TemporaryDirectory(prefix="fuzz-cli-") as work:
        root = args.keep or Path(work)
        seeds = write_scene(root / "seeds")
        for path in (root / "seeds").rglob("*"):  # a command may be told to write there, and later runs read them
            if path.is_file() and not path.is_symlink():
                path.chmod(0o444)
        load_commands()
        workers = [_worker(number, args, seeds, root) for number in range(args.workers)]
        failed = sum(os.waitpid(pid, 0)[1] != 0 for pid in workers)
    results = [json.loads(line) for line in args.log.read_text(encoding="utf-8").splitlines()]
    found = [result for result in results if result["finds"]]
    print(f"{len(results)} runs, {len(found)} finds, {failed} workers failed")
    for result in found[:20]:
        print(result["run"], result["finds"], result["arguments"][:1], result["said"].splitlines()[-1:])
    return 1 if found or failed else 0


def load_commands() -> None:
    """Import what commands need once, before all forks. Nothing is computed here: threads don't survive a fork."""
    import omniggml
    from omniggml.cli import command_line

    assert command_line
    for name in omniggml.__all__:
        getattr(omniggml, name)
    for library in ("safetensors.numpy", "matplotlib.backends.backend_agg"):
        with contextlib.suppress(ImportError):  # without one, commands say so
            import_module(library)


def _worker(number: int, args: argparse.Namespace, seeds: dict[str, Path], root: Path) -> int:
    pid = os.fork()
    if pid:
        return pid
    place = root / f"worker{number}"
    place.mkdir()
    (place / "input").write_bytes(b"caf\xe9 on standard input")
    code = 1
    try:
        with args.log.open("a", encoding="utf-8") as log:
            for run in range(args.first + number, args.first + args.runs, args.workers):
                print(json.dumps(run_once(run, seeds, place / str(run))), file=log, flush=True)
                if not args.keep:
                    for path in (place / str(run), place / f"{run}.out", place / f"{run}.err"):
                        shutil.rmtree(path) if path.is_dir() else path.unlink()
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main())

"""The C++ of the house as `docs/architecture.md` draws it, from its includes: arrows one way, no circles, no part that
knows the whole, facts once."""

from __future__ import annotations

import re
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

CSRC = Path(__file__).parent.parent / "csrc"

# Every room may look into itself and into all levels below its own.
LEVELS: tuple[tuple[str, ...], ...] = (
    ("error", "kernels", "threads"),
    ("ops", "gguf"),
    ("core", "text"),
    ("models", "bench"),
    ("speech",),
    ("bindings", "capi", "tools"),
    ("fuzz",),
    ("test_bindings",),
)
BELOW_QWEN = ("error", "kernels", "threads", "ops", "gguf", "core", "bench")
# Of the models, what stands alone; what else is there is shared by them.
PARTS = (
    "models/thinker",
    "models/talker",
    "models/code_predictor",
    "models/code2wav",
    "models/audio_encoder",
    "models/vision_encoder",
)


def sources() -> list[Path]:
    return sorted(path for path in CSRC.rglob("*") if path.suffix in (".cpp", ".h"))


@cache
def includes() -> dict[str, set[str]]:
    """Header and source of one name are one: "core/graph" -> what it includes of ours."""
    found: dict[str, set[str]] = {}
    for path in sources():
        own = path.relative_to(CSRC).with_suffix("").as_posix()
        named = re.findall(r'^#include "(.+)\.h"$', path.read_text(encoding="utf-8"), re.MULTILINE)
        ours = {name for name in named if (CSRC / f"{name}.h").exists()}
        found.setdefault(own, set()).update(ours - {own})
    return found


def room(name: str) -> str:
    return name.split("/")[0]


def circle(graph: dict[str, set[str]]) -> list[str]:
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        return list(error.args[1])
    return []


def test_every_file_is_in_a_room_and_includes_are_seen() -> None:
    rooms = {name for level in LEVELS for name in level}
    assert {room(name) for name in includes()} <= rooms
    assert "core/buffer" in includes()["core/graph"]
    assert sum(map(len, includes().values())) > 100


def test_no_circle_of_files_nor_of_rooms() -> None:
    assert circle(includes()) == []
    rooms: dict[str, set[str]] = {}
    for name, others in includes().items():
        rooms.setdefault(room(name), set()).update({room(other) for other in others} - {room(name)})
    assert circle(rooms) == []


def test_a_circle_is_seen() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})


def test_arrows_go_one_way() -> None:
    height = {name: number for number, level in enumerate(LEVELS) for name in level}
    upward = [
        f"{name} includes {other}"
        for name, others in includes().items()
        for other in sorted(others)
        if room(name) != room(other) and height[room(other)] >= height[room(name)]
    ]
    assert upward == []


def test_no_part_knows_another_and_one_file_composes_them() -> None:
    assert set(PARTS) <= set(includes())
    assert {
        part: others & set(PARTS) for part, others in includes().items() if part in PARTS and others & set(PARTS)
    } == {}
    composing = [name for name, others in includes().items() if room(name) == "speech" and len(others & set(PARTS)) > 1]
    assert composing == ["speech/media_encoders", "speech/speech_model"]


@pytest.mark.parametrize("name", BELOW_QWEN)
def test_only_the_models_and_what_is_above_them_speak_of_qwen(name: str) -> None:
    words = "qwen|thinker|talker|code2wav|predictor|vocoder|codec|speaker"
    if name not in ("kernels", "ops"):
        words += "|snake"  # an activation function there, of one model here
    said = [
        f"{path.relative_to(CSRC)}: {line.strip()}"
        for path in sources()
        if room(path.relative_to(CSRC).as_posix()) == name
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(words, line, re.IGNORECASE)
    ]
    assert said == []


@pytest.mark.parametrize(
    ("what", "pattern", "home"),
    [
        # A bound that somebody counted by hand is an abort for the geometry that they didn't think of.
        ("a graph's size", r"ggml_new_graph|ggml_build_forward", ["core/graph.cpp"]),
        ("a context's size", r"\bggml_init\(", ["core/buffer.cpp"]),
        (
            "llama.cpp's names",
            r'"(attn|ffn)_\w+"|token_embd|output_norm|"[av]\.blk\.|post_ln',
            ["models/llama_names.cpp", "models/llama_names.h"],
        ),
        ("the growth of caches", r"KvCache::grown|->grown\(", ["core/kv_cache.cpp", "models/decoder_session.cpp"]),
        ("giving up the interpreter's lock", r"gil_scoped_\w+ \w+;|PyEval_SaveThread", ["bindings/interpreter_lock.h"]),
        ("Snake's epsilon", r"1e-9", ["models/snake.cpp"]),
        ("the architecture of a speech file", r'"qwen3omni-speech', ["speech/speech_model.cpp"]),
    ],
)
def test_a_fact_lives_once(what: str, pattern: str, home: list[str]) -> None:
    spelled = [path for path in sources() if re.search(pattern, path.read_text(encoding="utf-8"))]
    assert [path.relative_to(CSRC).as_posix() for path in spelled] == home, what

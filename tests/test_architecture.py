"""The house as `docs/architecture.md` draws it, computed from imports: no circles, arrows one way, facts once."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "python" / "omniggml"

# Every room beside those that it may look into: its own, and all below. A room is a package or a module at the top.
LEVELS: tuple[tuple[str, ...], ...] = (
    ("_native", "containers", "printable", "plain_file", "undisturbed", "voice", "warning", "extras"),
    ("errors",),
    ("checked", "paths"),
    ("streamed_wav", "whole_file"),
    ("version", "gguf"),
    ("spec",),
    ("torch_file",),
    ("array_file", "text", "settled_text"),
    ("arrays", "probe", "segments", "hub_file"),
    ("options",),
    ("files",),
    ("audio", "tokenizer", "writing", "thinker_server", "reasoning"),
    ("answer_at_url", "answer_text", "spoken", "vocoder", "late_thinker", "in_turn", "coming_text", "media"),
    ("engine",),
    ("streamed_reply",),
    ("model",),
    ("native_log", "ray_cluster", "c_interface", "openai_voices"),
    ("loading",),
    ("conversion",),
    ("quantization", "comparison"),
    ("plots", "synthetic"),
    ("doctor", "benchmark", "server", "batch"),
    ("omniggml",),
    ("cli",),
    ("__main__",),
)


@cache
def imports() -> dict[str, set[str]]:
    """Module -> modules of ours that it imports, anywhere in it: what only type checkers see is an arrow too."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        module = _module_of(path)
        found[module] = set(_imported(ast.parse(path.read_text(encoding="utf-8")))) - {module}
    return found


def _module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "omniggml")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "omniggml":
            assert node.module is not None and node.level == 0
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if _exists(inner) else node.module


def _exists(module: str) -> bool:
    path = PACKAGE.parent.joinpath(*module.split("."))
    return path.is_dir() or path.with_suffix(".py").exists() or path.with_suffix(".pyi").exists()


def _room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else parts[0]


def _circle(graph: dict[str, set[str]]) -> list[str]:
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_circle_among_files() -> None:
    assert _circle(imports()) == []


def test_no_circle_among_rooms() -> None:
    rooms: dict[str, set[str]] = {}
    for module, wanted in imports().items():
        rooms.setdefault(_room(module), set()).update({_room(name) for name in wanted} - {_room(module)})
    assert _circle(rooms) == []


def test_every_room_has_a_level() -> None:
    known = {room for level in LEVELS for room in level}
    assert {_room(module) for module in imports()} - known == set()


def test_arrows_go_down() -> None:
    level = {room: number for number, rooms in enumerate(LEVELS) for room in rooms}
    wrong = [
        f"{module} -> {name}"
        for module, wanted in imports().items()
        for name in wanted
        if _room(name) != _room(module)
        and level[_room(name)] >= level[_room(module)]
        # The command line is a user of the public interface.
        and not (_room(module) == "cli" and name == "omniggml")
    ]
    assert wrong == []


def test_nothing_in_the_product_loads_random_models_but_the_bench() -> None:
    users = {module for module, wanted in imports().items() if any(_room(name) == "synthetic" for name in wanted)}
    assert {module for module in users if _room(module) != "synthetic"} == {"omniggml.benchmark.made_model"}


def test_no_public_function_shares_its_name_with_a_package() -> None:
    import omniggml

    rooms = {path.name.removesuffix(".py") for path in PACKAGE.iterdir()}
    assert set(omniggml.__all__) & rooms == set()


# --- what importing loads ---------------------------------------------------------------------------------------------

NOT_LOADED = (
    *("omniggml.benchmark", "omniggml.cli", "omniggml.comparison", "omniggml.conversion", "omniggml.doctor"),
    *("omniggml.plots", "omniggml.quantization", "omniggml.server", "omniggml.synthetic", "omniggml.batch"),
    *("fastapi", "uvicorn", "pydantic", "av", "wyoming", "http.client", "ray", "pyarrow"),
    *("gguf", "inflect", "jinja2", "matplotlib", "safetensors", "tokenizers", "torch", "transformers"),
)


@pytest.mark.parametrize("statement", ["import omniggml", "import omniggml; omniggml.load()"])
def test_importing_and_loading_load_no_more_than_speaking_needs(statement: str) -> None:
    shown = "import sys; print(*sorted(sys.modules), sep='\\n')"
    run = subprocess.run([sys.executable, "-c", f"{statement}\n{shown}"], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert {name for name in NOT_LOADED if name in loaded} == set()


def test_every_lazy_name_is_there() -> None:
    import omniggml

    assert set(omniggml.__all__) <= set(dir(omniggml))
    for name in omniggml.__all__:
        assert getattr(omniggml, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = omniggml.nothing


# --- one fact, one place ----------------------------------------------------------------------------------------------

# A spelling that gives a fact away, and the only files that may have it. Data files and tests may quote it.
FACTS = {
    "llama.cpp's names of a layer's tensors": (r'"ffn_gate_exps|"attn_q_norm"', set()),
    "llama.cpp's names of whole tensors": (r'"output_norm\.weight": ', set()),
    "ggml's spelling of type names": (
        r'replace\("_k", "_K"\)|q[0-9]_K"\s*[:,]|\.type\.lower\(\)',
        {"gguf/type_names.py"},
    ),
    "where F16 ends": (r"\b65504\b", {"gguf/type_names.py"}),
    "types stored value by value": (r'\("F32", "F16", "BF16"\)', {"gguf/type_names.py"}),
    "bits that tensors need": (r"\bNeed\(", {"spec/precision_needs.py"}),
    "convolutions that must stay exact": (r'"[^"]*\*\.dwconv', {"spec/precision_needs.py"}),
    "the published ids": (r"\b(151671|151644|2150|2302)\b", {"spec/published.py"}),
    "the sampling defaults": (r"\bSampling\((True|False)", {"spec/model_config.py"}),
    "drawing or not": (r"not (self\.)?greedy", {"options.py"}),
    "the speech file's architecture": (r'"qwen3omni-speech', {"spec/speech_file.py"}),
    "the thinker file's architecture": (r'^[A-Z_]+ = "qwen3vlmoe"', {"spec/thinker_file.py"}),
    "the longest name of a tensor": (r"= 63\b", {"spec/speech_file.py"}),
    "the splitting rule": (r"\\p\{L\}\+\|", set()),
    "the reader of files that users bring": (r"GGUFReader|gguf\.GGUF", set()),
    "the suppressed tail": (r"^SUPPRESSED_TAIL = ", {"spec/model_config.py"}),
}


@pytest.mark.parametrize("fact", FACTS)
def test_a_fact_stands_once(fact: str) -> None:
    pattern, places = FACTS[fact]
    spelled = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if re.search(pattern, path.read_text(encoding="utf-8"), re.MULTILINE)
        and path.relative_to(PACKAGE).parts[0] != "synthetic"
    }
    assert spelled == places


def test_plans_and_options_have_one_class_each() -> None:
    names: dict[str, list[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                names.setdefault(node.name, []).append(path.relative_to(PACKAGE).as_posix())
    assert {name: places for name, places in names.items() if len(places) > 1} == {}


# --- the map ----------------------------------------------------------------------------------------------------------


def test_the_map_shows_every_room() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    drawn = re.search(r"^    csrc/$.*?(?=^\S)", page, re.MULTILINE | re.DOTALL)
    assert drawn is not None
    words = set(re.findall(r"[\w.]+/?", drawn[0]))
    for house in (ROOT / "csrc", PACKAGE):
        rooms = {f"{path.name}/" for path in house.iterdir() if path.is_dir() and any(path.glob("*.*"))}
        rooms |= {path.name for path in house.glob("*.py") if path.name != "__main__.py"}
        assert {room for room in rooms if room not in words and room != "__pycache__/"} == set()
    shown = {word.rstrip("/") for word in words if word.endswith("/")} - {"csrc", "python", "omniggml", "third_party"}
    assert {room for room in shown if not any((house / room).is_dir() for house in (ROOT / "csrc", PACKAGE))} == set()

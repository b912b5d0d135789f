"""The examples of README.md and docs/ run as they stand, on a small random model."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import omniggml
from omniggml import convert
from omniggml.synthetic.ears import ears_for
from omniggml.synthetic.eyes import eyes_for
from omniggml.synthetic.geometries import GEOMETRIES
from omniggml.synthetic.random_checkpoint import write_random_checkpoint

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

# Commands about the installation itself: .ci/run runs them on a fresh copy of the tree.
INSTALLS = re.compile(r"-m venv|pip install|pytest")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with what the examples name: a checkpoint, its files, codes, a recording."""
    path = tmp_path_factory.mktemp("docs")
    audio, vision = ears_for(GEOMETRIES["tiny"]), eyes_for(GEOMETRIES["tiny"])
    checkpoint = write_random_checkpoint("tiny", path / "Qwen3-Omni-30B-A3B-Instruct", audio=audio, vision=vision)
    # Random weights never find an end, so the examples' speeches get one.
    defaults = checkpoint / "generation_config.json"
    defaults.write_text(json.dumps(json.loads(defaults.read_text()) | {"talker_max_new_tokens": 12}))
    speech, *_ = convert(checkpoint, path / "models", type="f16", name="omni")
    geometry = omniggml.load(speech).geometry["code2wav"]
    codes = np.random.default_rng(0).integers(0, geometry["codebook_size"], (geometry["num_quantizers"], 20))
    np.save(path / "codes.npy", codes)
    (path / "texts.csv").write_text("id,text\none,hello world\ntwo,good night\n", encoding="utf-8")
    omniggml.Audio(np.random.default_rng(1).uniform(-0.5, 0.5, 8000).astype(np.float32), 16000).save(
        path / "question.wav"
    )
    pixels = np.random.default_rng(2).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path / "photo.png")
    return path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_examples(page: Path, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = blocks(page, "python")
    if not examples:
        pytest.skip("no Python on this page")
    monkeypatch.chdir(directory)
    exec(compile("\n".join(examples), page.name, "exec"), {"__name__": page.stem})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands(page: Path, directory: Path) -> None:
    commands = [
        line
        for block in blocks(page, "sh")
        for line in block.splitlines()
        if line.startswith("omniggml ") and not INSTALLS.search(line)
    ]
    if not commands:
        pytest.skip("no commands on this page")
    for line in commands:
        words = shlex.split(line)
        run = subprocess.run(
            [sys.executable, "-m", "omniggml", *words[1:]], cwd=directory, capture_output=True, text=True, check=False
        )
        # 3: random weights find no end, and the limit that stands for it is told.
        cut = run.returncode == 3 and re.search("not spoken to its end|cut at a limit", run.stderr)
        assert run.returncode == 0 or cut, f"{line}\n{run.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"

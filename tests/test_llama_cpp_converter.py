"""The mmproj file that llama.cpp's own converter makes of a checkpoint, beside ours: the same tensors, and the same
heard and seen through it.

The converter is the pinned llama.cpp's, which a build leaves in the cache where it fetches that, or that of the
checkout that `OMNIGGML_LLAMA_CPP_DIR` names. It says nothing of the audio encoder's windows and gives each of our
vision encoders an audio encoder of the published windows, so those are what is compared. Into the vision encoder's
norms it puts the epsilon of the thinker's; all of these are 1e-6, as published.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import omniggml
from ears_side import FRAMES, clip, our_answer
from eyes_side import GRIDS, Eyes
from omniggml import _native
from omniggml.benchmark.made_model import cache_directory
from omniggml.files.encoders import open_encoders
from omniggml.gguf.header import read_header
from omniggml.gguf.type_names import dequantize
from omniggml.synthetic.ears import ears_for
from omniggml.synthetic.geometries import GEOMETRIES
from parity.cases import FloatArray
from parity.metrics import GATES, agreement

pytest.importorskip("PIL.Image")
pytest.importorskip("transformers", "5")

pytestmark = pytest.mark.reference

CASES = [("tiny", "plain"), ("mini", "plain"), ("mini", "odd"), ("tiny", "wide-heads"), ("mini", "small-patches")]
TYPES = ("f32", "f16")
PIN = Path(__file__).parent.parent / "third_party" / "ggml-requirements.txt"
POSITIONS = "a.position_embd.weight"
FIRST_ROWS = 13
"""Positions begin anew with every chunk; the converter writes 1500 of them, in float32 throughout."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("converter")


@cache
def converter() -> Path:
    """llama.cpp's converter of checkpoints."""
    named = os.environ.get("OMNIGGML_LLAMA_CPP_DIR")
    pinned = re.search(r"sha256:(\w{12})", PIN.read_text(encoding="utf-8"))
    assert pinned
    tree = Path(named) if named else cache_directory() / f"llama.cpp-{pinned[1]}"
    script = tree / "convert_hf_to_gguf.py"
    if not script.exists():
        pytest.skip(f"llama.cpp's converter is not at {script}: let OMNIGGML_LLAMA_CPP_DIR name a checkout")
    return script


def readable(checkpoint: Path) -> Path:
    """A copy that the pinned converter reads: it knows Qwen3-Omni's vision encoder, but drops its own prefix in one
    place and asks for it in another, so that it stops at `thinker.visual.blocks.0.attn.proj.bias`; without `thinker.`
    it goes through."""
    from safetensors.torch import load_file, save_file

    copy = checkpoint.with_name(f"{checkpoint.name}-readable")
    if copy.exists():
        return copy
    shutil.copytree(checkpoint, copy)
    for part in copy.glob("*.safetensors"):
        tensors = {short(name): tensor for name, tensor in load_file(part).items()}
        save_file(tensors, part, metadata={"format": "pt"})
    index = copy / "model.safetensors.index.json"
    listed = json.loads(index.read_text(encoding="utf-8"))
    listed["weight_map"] = {short(name): part for name, part in listed["weight_map"].items()}
    index.write_text(json.dumps(listed), encoding="utf-8")
    return copy


def short(name: str) -> str:
    return name.removeprefix("thinker.") if name.startswith("thinker.visual.") else name


def theirs(eyes: Eyes, type_: str) -> Path:
    """The mmproj file that llama.cpp's converter makes of a checkpoint."""
    path = eyes.root / f"{eyes.geometry}-{eyes.name}-{type_}-theirs.gguf"
    if not path.exists():
        given = [str(readable(eyes.checkpoint)), "--mmproj", "--outtype", type_, "--outfile", str(path)]
        run = subprocess.run([sys.executable, str(converter()), *given], capture_output=True, text=True, timeout=300)
        assert run.returncode == 0, run.stderr[-2000:]
    return path


def weights(path: Path) -> dict[str, tuple[tuple[int, ...], str, FloatArray]]:
    """Name -> shape, type, values."""
    header = read_header(path)
    return {
        name: (tuple(stored.shape), stored.type, dequantize(header.read(stored), stored.type).reshape(stored.shape))
        for name, stored in header.tensors.items()
    }


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize(("geometry", "name"), CASES)
def test_the_tensors_are_the_same(root: Path, geometry: str, name: str, type_: str) -> None:
    """All types, too, but for the convolutions of an F32 file, which llama.cpp has in F16."""
    eyes = Eyes(root, geometry, name)
    ours, made = weights(eyes.files(type_)[2]), weights(theirs(eyes, type_))
    assert set(ours) == set(made)
    for tensor, (shape, stored, values) in ours.items():
        their_shape, their_type, their_values = made[tensor]
        assert shape == their_shape, tensor
        assert stored == their_type or (tensor.startswith("a.conv") and type_ == "f32"), tensor
        if tensor == POSITIONS:
            assert np.abs(values - their_values)[:FIRST_ROWS].max() < 1e-6
        else:  # a checkpoint's BF16 is exact in F16 but for the smallest numbers
            assert np.abs(values - their_values).max() <= (0 if stored == their_type else 2.0**-24), tensor


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize(("geometry", "name"), CASES)
def test_the_encoders_make_the_same_of_it(root: Path, geometry: str, name: str, type_: str) -> None:
    """The same bits of images; of audio what roundings of F16 make of the positions' last bits."""
    eyes = Eyes(root, geometry, name)
    ours, made = (
        _native.MediaEncoders(open_encoders(path).native, "cpu") for path in (eyes.files(type_)[2], theirs(eyes, type_))
    )
    for grid in GRIDS:
        (seen, deep), (their_seen, their_deep) = (
            _native.VisionEncoderSession(encoders, 1, None).encode(eyes.patches(grid), list(grid))
            for encoders in (ours, made)
        )
        assert np.array_equal(seen, their_seen)
        assert np.array_equal(deep, their_deep)
    n_mels = ears_for(GEOMETRIES[geometry], "plain").num_mel_bins
    for frames in FRAMES:
        features = np.random.default_rng(frames).normal(0, 0.7, (n_mels, frames)).astype(np.float32)
        heard, their_heard = (
            _native.AudioEncoderSession(encoders, 1, None).encode(features) for encoders in (ours, made)
        )
        assert agreement(their_heard, heard).inside(GATES["f16"]), frames


@pytest.mark.parametrize("type_", TYPES)
def test_questions_are_answered_the_same(root: Path, type_: str) -> None:
    """Text and codes of a turn with a picture and a sound."""
    eyes = Eyes(root, "mini", "plain")
    speech = eyes.files(type_)[0]
    picture = np.random.default_rng(3).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    parts: list[dict[str, Any]] = [
        {"type": "audio", "audio": clip("voice", 20000)},
        {"type": "image", "image": picture},
        {"type": "text", "text": "what?"},
    ]
    answers = []
    for mmproj in (eyes.files(type_)[2], theirs(eyes, type_)):
        model = omniggml.load(speech, mmproj=mmproj, device="cpu", n_threads=1)
        answers.append(our_answer(model, [{"role": "user", "content": parts}], model.speakers[0], 12, 12))
    (prompt, tokens, spoken), (their_prompt, their_tokens, their_spoken) = answers
    assert (prompt, tokens) == (their_prompt, their_tokens)
    assert np.array_equal(spoken.codes, their_spoken.codes)

"""Make the archives beside this file: what transformers computes on each random checkpoint.

    python tests/goldens/make_goldens.py [GEOMETRY ...]

Needs torch and transformers (`pip install '.[reference]'`). To be run again when the recipe of the random weights or
the choice of inputs changes; a test says when the checkpoints no longer fit the archives.
"""

from __future__ import annotations

import dataclasses
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import omniggml
from omniggml.synthetic.geometries import GEOMETRIES

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # for the package `parity`

# Shorter than the live comparison's, and still over 32 frames of audio, the engine's piece.
_SIZES = {"n_tokens": 30, "n_prompt": 14, "n_frames": 3, "n_wave": 36}

# Longer than a chunk of 300 frames. The published rates make 1920 samples of a frame; there fewer have to do.
_WAVE_FRAMES = {"mini": 60, "long-window": 330}
_MOST_WAVE_FRAMES = 700


def main(names: list[str]) -> None:
    """Make the archives of these geometries, or of all that speak."""
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as directory:
        for name in names or [name for name in GEOMETRIES if name != "eos-first"]:
            make(name, Path(directory))


def make(name: str, directory: Path) -> None:
    """Make the archive of one geometry, with its checkpoint in `directory`."""
    from parity import golden, transformers_side
    from parity.cases import make_case
    from parity.files import ModelFiles, digest

    files = ModelFiles(directory)
    checkpoint = files.checkpoint(name)
    reference = transformers_side.load_reference(checkpoint)
    case = make_case(GEOMETRIES[name], **_SIZES)
    recording = transformers_side.record(reference, case)
    recording = dataclasses.replace(recording, outputs=golden.kept_outputs(recording.outputs))
    path = HERE / f"{name}.npz"
    speeches = _speeches(files, name, reference)
    golden.save(path, golden.Golden(_about(digest(checkpoint)), case, recording, speeches, _wave(name, reference)))
    print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")


def _speeches(files: Any, name: str, reference: Any) -> Any:
    from parity import greedy, transformers_side

    speech, thinker = files.gguf(name, "f32")
    requests = greedy.standard_requests(omniggml.load(speech, thinker=thinker, device="cpu"))
    return {title: (request, transformers_side.speak(reference, request)) for title, request in requests.items()}


def _wave(name: str, reference: Any) -> Any:
    from parity import golden, transformers_side

    wav = GEOMETRIES[name].code2wav
    shape = (wav.num_quantizers, _WAVE_FRAMES.get(name, _MOST_WAVE_FRAMES))
    codes = np.random.default_rng(7).integers(0, wav.codebook_size, shape, dtype=np.int32)
    return golden.thinned(codes, transformers_side.decode(reference, codes))


def _about(digest: str) -> dict[str, str]:
    import torch
    import transformers

    return {
        "checkpoint": digest,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


if __name__ == "__main__":
    main(sys.argv[1:])

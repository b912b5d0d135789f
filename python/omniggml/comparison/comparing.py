"""Two models, module by module: where do they part?

Both are given the same text and made to say the same codes. *Accumulated*: each module of A as it comes, errors of
those before it included. *Local*: the modules before it are given B's outputs, so that the error is its own.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from omniggml.checked import checked
from omniggml.comparison.agreement import GATES, Agreement, Gate, agreement
from omniggml.comparison.computation_order import order_of
from omniggml.comparison.script import Outputs, Script
from omniggml.comparison.transformers_side import TransformersSide
from omniggml.conversion.checkpoint_to_gguf import convert
from omniggml.errors import InputError
from omniggml.files.opening import refuse_thinker
from omniggml.files.stored_weights import StoredWeights
from omniggml.gguf.type_names import bits_of
from omniggml.hub_file import local_file
from omniggml.loading import load
from omniggml.model import Model
from omniggml.paths import as_path

PathLike = str | os.PathLike[str]

_COARSE = Gate(0.97, 5e-2, 5e-2)  # of types below 8 bits
_STAGES = ("thinker.", "talker.model.", "talker.code_predictor.", "code2wav.")


@dataclass(frozen=True)
class Row:
    """One module. `gate`: what the coarser of the two files' types in its stage allows."""

    module: str
    local: Agreement
    accumulated: Agreement
    gate: Gate

    @property
    def inside(self) -> bool:
        """Whether its own error is within the gate."""
        return self.local.inside(self.gate)


@dataclass(frozen=True)
class Comparison:
    """Rows in the order of computation. `first`: the first module whose own error is outside of its gate, "" where
    none is."""

    a: str
    b: str
    text: str
    rows: tuple[Row, ...]

    @property
    def first(self) -> str:
        return next((row.module for row in self.rows if not row.inside), "")

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` prints them."""
        rows = [
            {"module": r.module, "inside": r.inside, "local": asdict(r.local), "accumulated": asdict(r.accumulated)}
            for r in self.rows
        ]
        return {"a": self.a, "b": self.b, "text": self.text, "first": self.first, "rows": rows}


@checked
def compare(
    a: PathLike,
    b: PathLike,
    text: str = "hello world",
    *,
    device: str = "cpu",
    n_threads: int = 0,
    through_transformers: bool = False,
) -> Comparison:
    """Compare model A with model B, the reference: GGUF files, or for B a Hugging Face checkpoint directory, which is
    converted to F32 first or, with `through_transformers`, computed by transformers. `device` is A's.

    Raises ModelFileError for files that can't be loaded, InputError for models that can't speak or are of different
    geometry, and where transformers is wanted and not installed.
    """
    for path in (a, b):
        if as_path(path).is_file():
            refuse_thinker(path)
    if through_transformers:
        return _compare_with_transformers(a, b, text, device, n_threads)
    file = local_file(a)
    with _as_gguf(b) as reference:
        theirs, ours = (
            load(reference, device="cpu", n_threads=n_threads),
            load(file, device=device, n_threads=n_threads),
        )
        gates = _gates(file, reference)
    for path, model in ((a, ours), (b, theirs)):
        if not model.has_voice:
            raise InputError(f"{path} has no talker; models that speak can be compared")
    if theirs.geometry["code2wav"] != ours.geometry["code2wav"] or theirs.geometry["talker"] != ours.geometry["talker"]:
        raise InputError(f"{a} and {b} are models of different geometry; there is nothing to compare")
    script = Script(theirs, text)
    want = script.run(theirs, {})
    return Comparison(str(a), str(b), text, _rows(script, ours, want, gates))


def _compare_with_transformers(a: PathLike, b: PathLike, text: str, device: str, n_threads: int) -> Comparison:
    checkpoint = as_path(b)
    if not checkpoint.is_dir():
        raise InputError(f"{checkpoint} is no directory; transformers computes Hugging Face checkpoints")
    file = local_file(a)
    ours = load(file, device=device, n_threads=n_threads)
    script = Script(ours, text)
    want, script.prompt, script.hidden = TransformersSide(checkpoint).run(script, ours.default_speaker)
    return Comparison(str(a), str(b), text, _rows(script, ours, want, _gates(file)))


def _rows(script: Script, ours: Model, want: Outputs, gates: Mapping[str, Gate]) -> tuple[Row, ...]:
    """`want` by the shapes of A's outputs, where it has as many values: the axes of a batch are its own affair."""
    accumulated = script.run(ours, {})
    want = {
        name: values.reshape(accumulated[name].shape)
        for name, values in want.items()
        if name in accumulated and accumulated[name].size == values.size
    }
    local = script.run(ours, want)
    return tuple(
        Row(name, agreement(local[name], want[name]), agreement(accumulated[name], want[name]), gates[_stage(name)])
        for name in sorted(want, key=order_of)
        if name in local
    )


@contextmanager
def _as_gguf(path: PathLike) -> Iterator[Path]:
    if not as_path(path).is_dir():
        yield local_file(path)
        return
    with tempfile.TemporaryDirectory() as directory:
        yield convert(os.fspath(path), directory, type="f32", name="reference", only="speech")[0]


def _stage(module: str) -> str:
    return next(
        (stage for stage in _STAGES if module.startswith(stage)),
        "code2wav." if module == "code2wav" else "talker.model.",
    )


def _gates(*paths: Path) -> dict[str, Gate]:
    """Of each stage, by the coarsest type of its matrices in any of the files."""
    gates = {}
    for stage in _STAGES:
        types = [
            weights.type_of(name)
            for weights in map(StoredWeights, paths)
            for name in weights
            if name.startswith(stage) and weights.contents.parts[name][0].stored.size > 0
        ]
        coarsest = min(types, key=lambda type_: (bits_of(type_), type_), default="F32")
        gates[stage] = GATES.get(coarsest, _COARSE)
    return gates

"""How much each input of a matrix matters: mean squares of what goes into it while texts are spoken, gathered through
probes, kept in llama.cpp's GGUF format for importance matrices."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from omniggml.checked import checked
from omniggml.errors import InputError
from omniggml.gguf.header import Header, read_header
from omniggml.gguf.metadata import Metadata, count, text, texts
from omniggml.gguf.output import FileJob, Pieces, identity_of, write_files
from omniggml.gguf.output_header import OutputTensor, header_bytes
from omniggml.model import Model
from omniggml.options import check_integer
from omniggml.paths import as_path
from omniggml.quantization.defaults import CALIBRATION_TEXTS, IMATRIX_FRAMES
from omniggml.quantization.older_imatrix import read_older_imatrix
from omniggml.whole_file import STANDARD_OUTPUT, check_target

FloatArray = npt.NDArray[np.float32]

_SUMS, _COUNTS = ".in_sum2", ".counts"
_INPUT = ".input"
_EXPERTS = (".mlp.experts.", "_exps.")


@checked
@dataclass(frozen=True)
class Statistics:
    """Of one tensor: `sums` float64 [matrices, columns] of squares, from `counts` float64 [matrices] rows. A tensor of
    experts is as many matrices, any other is one."""

    sums: npt.NDArray[np.float64]
    counts: npt.NDArray[np.float64]

    def importance(self, matrix: int) -> FloatArray | None:
        """The mean square of each column of a matrix; None for one that nothing went into. Raises InputError for a
        matrix that there isn't."""
        check_integer("matrix", matrix, 0, len(self.counts) - 1)
        if self.counts[matrix] <= 0:
            return None
        return np.asarray(self.sums[matrix] / self.counts[matrix], np.float32)

    def plus(self, other: Statistics) -> Statistics:
        return Statistics(self.sums + other.sums, self.counts + other.counts)


Imatrix = Mapping[str, Statistics]
"""By the tensors' names in the model's files."""


@checked
def imatrix(
    model: Model,
    path: str | os.PathLike[str],
    *,
    texts: Sequence[str] = CALIBRATION_TEXTS,
    max_frames: int = IMATRIX_FRAMES,
    datasets: Sequence[str] = ("omniggml's sentences",),
) -> Mapping[str, Statistics]:
    """Let a model speak texts, up to `max_frames` frames of each, and write what goes into its matrices to `path`, in
    llama.cpp's format for importance matrices. `datasets`: what the texts are, to be read by people.

    Returns the statistics by tensor. Raises InputError where there is nothing to speak, ConversionError where the file
    can't be written.
    """
    if not texts:
        raise InputError("there is no text to speak")
    if not datasets:
        raise InputError("datasets is empty; say what the texts are, for people who read the file")
    check_integer("max_frames", max_frames, 1)
    check_imatrix_target(path, model.files)
    found = gather(model, texts, max_frames)
    write_imatrix(path, found, datasets, model.files)
    return found


def check_imatrix_target(path: str | os.PathLike[str], inputs: Iterable[object] = ()) -> None:
    """Raises InputError where no such file can be written. `inputs`: what is read for it."""
    target = as_path(path)
    if target.suffix != ".gguf" and str(target) != STANDARD_OUTPUT:  # which is refused by what can be written to
        raise InputError(f"{target} is where the importance matrix goes; give it a name that ends in .gguf")
    check_target(target, inputs, stream=False)


# --- gathering --------------------------------------------------------------------------------------------------------


def gather(model: Model, spoken: Iterable[str], max_frames: int) -> dict[str, Statistics]:
    """Speak texts greedily, up to `max_frames` frames of each, and let the thinker read them where there is one."""
    total: dict[str, Statistics] = {}
    for one in spoken:
        with model.probe(f"**{_INPUT}", "**.mlp.gate") as seen:
            model.speak(one, greedy=True, max_frames=max_frames)
            if model.has_thinker:
                model.thinker(model.tokenizer.encode(one))
        found = {name: np.asarray(values) for name, values in seen.items()}
        for name in [name.removesuffix(_INPUT) for name in found if name.endswith(_INPUT)]:
            statistics = _statistics(model, name, found)
            total[name] = total[name].plus(statistics) if name in total else statistics
    return total


def _statistics(model: Model, name: str, found: Mapping[str, FloatArray]) -> Statistics:
    rows = np.square(found[f"{name}{_INPUT}"], dtype=np.float64)
    if not any(part in name for part in _EXPERTS):
        flat = rows.reshape(-1, rows.shape[-1])
        return Statistics(flat.sum(axis=0)[np.newaxis], np.array([float(len(flat))]))
    stage, router = _router(name)
    logits = found[router]
    used = int(model.geometry[stage]["num_experts_per_tok"])
    # The chosen in the order in which the engine sorts them; what goes into down_proj comes in that order.
    chosen = np.argsort(-logits, axis=-1, kind="stable")[:, :used]
    inputs = rows.reshape(len(chosen), -1, _columns(rows.shape[-1], name, used))
    inputs = np.broadcast_to(inputs, (len(chosen), used, inputs.shape[-1]))
    sums = np.zeros((logits.shape[-1], inputs.shape[-1]))
    np.add.at(sums, chosen.reshape(-1), inputs.reshape(-1, inputs.shape[-1]))
    return Statistics(sums, np.bincount(chosen.reshape(-1), minlength=len(sums)).astype(np.float64))


def _columns(width: int, name: str, used: int) -> int:
    """Gate and up read one row for all experts, down a row of each."""
    return width // used if "down" in name else width


def _router(name: str) -> tuple[str, str]:
    """The stage, and the module that chooses the experts of a tensor."""
    if name.startswith("blk."):
        return "thinker", f"thinker.model.layers.{name.split('.')[1]}.mlp.gate"
    return "talker", f"{name.partition('.mlp.experts.')[0]}.mlp.gate"


# --- the file ---------------------------------------------------------------------------------------------------------


def write_imatrix(
    path: str | os.PathLike[str], imatrix: Imatrix, datasets: Sequence[str], inputs: Sequence[Path] = ()
) -> Path:
    """Write llama.cpp's format: for each tensor NAME.in_sum2 [matrices, columns] and NAME.counts [matrices, 1], F32.

    `datasets`: what it was gathered from, to be read by people. `inputs`: files that it must not be. Raises
    ConversionError where it can't be written.
    """
    arrays: dict[str, FloatArray] = {}
    for name, statistics in sorted(imatrix.items()):
        arrays[name + _SUMS] = statistics.sums.astype(np.float32)
        arrays[name + _COUNTS] = statistics.counts.astype(np.float32)[:, np.newaxis]
    tensors = [OutputTensor(name, a.shape, "F32", a.nbytes) for name, a in arrays.items()]
    metadata: Metadata = {
        "general.type": text("imatrix"),
        "imatrix.datasets": texts(list(datasets)),
        "imatrix.chunk_count": count(1),
        "imatrix.chunk_size": count(1),
    }
    header = header_bytes("imatrix", metadata, tensors)
    values = list(arrays.values())

    def pieces(number: int) -> Pieces:
        yield values[number].astype("<f4", copy=False).tobytes()

    target = as_path(path)
    digest = hashlib.sha256(b"".join(array.tobytes() for array in values)).hexdigest()
    write_files([FileJob(target, header, tensors, identity_of(header, (), digest), pieces, inputs)])
    return target


def read_imatrix(path: str | os.PathLike[str]) -> dict[str, Statistics]:
    """Read such a file, ours or llama.cpp's, in its older format too. Raises ModelFileError or InputError for one that
    is none."""
    if (older := read_older_imatrix(path)) is not None:
        return {name: Statistics(means[np.newaxis], np.ones(1)) for name, means in older.items()}
    header = read_header(path)
    names = [name.removesuffix(_SUMS) for name in header.tensors if name.endswith(_SUMS)]
    if not names:
        raise InputError(f"{header.path} holds no importance matrix: it has no tensor that ends in {_SUMS}")
    return {name: _read(header, name) for name in names}


def _read(header: Header, name: str) -> Statistics:
    if name + _COUNTS not in header.tensors:
        raise InputError(f"{header.path} has {name}{_SUMS} and no {name}{_COUNTS}")
    sums, counts = (_values(header, name + ending) for ending in (_SUMS, _COUNTS))
    if counts.size != len(sums) or not (np.isfinite(sums).all() and np.isfinite(counts).all()) or sums.min() < 0:
        raise InputError(f"{header.path} holds no sums of squares for {name}")
    return Statistics(sums, counts.ravel())


def _values(header: Header, name: str) -> npt.NDArray[np.float64]:
    stored = header.tensors[name]
    if stored.type != "F32":
        raise InputError(f"{header.path} has {name} in {stored.type}, expected F32")
    values = np.frombuffer(header.read(stored), "<f4").astype(np.float64)
    return values.reshape(-1, stored.shape[-1])

"""A GGUF file in other types: ggml's own quantizers, row by row, by a policy."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod, sqrt
from pathlib import Path
from zlib import crc32

import gguf
import numpy as np
import numpy.typing as npt
from gguf import GGML_QUANT_VERSION, GGMLQuantizationType, GGUFReader, GGUFWriter, LlamaFileType

from omniggml import _native
from omniggml.convert.gguf_output import Progress, renamed_at_the_end
from omniggml.convert.metadata import Metadata, count, text
from omniggml.errors import ConversionError, InputError, ModelFileError
from omniggml.files.header import Header, StoredTensor, read_header
from omniggml.files.opening import open_file
from omniggml.quantize.policy import TYPES, Policy, read_policy

PLAIN = ("F32", "F16", "BF16")
"""Types whose values are stored one by one, from which quantizing loses nothing twice."""

_CHUNK_VALUES = 1 << 22
_FILE_TYPES = {
    "F32": LlamaFileType.ALL_F32,
    "F16": LlamaFileType.MOSTLY_F16,
    "BF16": LlamaFileType.MOSTLY_BF16,
    "Q8_0": LlamaFileType.MOSTLY_Q8_0,
    "Q6_K": LlamaFileType.MOSTLY_Q6_K,
    "Q5_K": LlamaFileType.MOSTLY_Q5_K_M,
    "Q4_K": LlamaFileType.MOSTLY_Q4_K_M,
    "Q3_K": LlamaFileType.MOSTLY_Q3_K_M,
    "Q2_K": LlamaFileType.MOSTLY_Q2_K,
    "Q5_1": LlamaFileType.MOSTLY_Q5_1,
    "Q5_0": LlamaFileType.MOSTLY_Q5_0,
    "Q4_1": LlamaFileType.MOSTLY_Q4_1,
    "Q4_0": LlamaFileType.MOSTLY_Q4_0,
    "IQ4_NL": LlamaFileType.MOSTLY_IQ4_NL,
    "IQ4_XS": LlamaFileType.MOSTLY_IQ4_XS,
}


@dataclass(frozen=True)
class Change:
    """What became of a tensor. `error`: root mean square of what was lost, over that of the values; 0 for a copy."""

    name: str
    before: str
    after: str
    nbytes: int
    error: float


@dataclass(frozen=True)
class Quantized:
    """A written file. `twice`: tensors that had been quantized before."""

    path: Path
    policy: str
    changes: tuple[Change, ...]

    @property
    def nbytes(self) -> int:
        return sum(change.nbytes for change in self.changes)

    @property
    def twice(self) -> tuple[Change, ...]:
        return tuple(c for c in self.changes if c.before not in PLAIN and c.after != c.before)


@dataclass(frozen=True)
class _Job:
    stored: StoredTensor
    offset: int
    type: str

    @property
    def nbytes(self) -> int:
        values, size = _native.block_of(TYPES.get(self.type, self.type.lower()))
        return prod(self.stored.shape) // values * size


def quantize(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    policy: str = "q8_0",
    requantize: bool = False,
    progress: Progress | None = None,
) -> Quantized:
    """Write the file `source` to `target` in the types of a policy: a built-in name, or the path of a .toml file.

    Names, order and metadata stay. One block of rows is in memory at a time, beside one tensor of the result. The
    file gets its name when it is complete and was read back. `progress` is called as (tensor, bytes written, in all).

    Raises InputError for an unknown policy, and for a source that is quantized already unless `requantize` is set;
    ModelFileError for a source that can't be read; ConversionError where the target can't be written.
    """
    chosen = read_policy(policy)
    header = read_header(source)
    out = Path(os.fspath(target))
    if out.exists() and out.samefile(header.path):
        raise InputError(f"{out} is the file to be quantized; give another name for the result")
    jobs = _jobs(header, chosen)
    _check_sources(header, jobs, requantize)
    with renamed_at_the_end([out]) as (path,):
        changes, sums = _write(path, header, jobs, chosen, progress)
        _read_back(path, jobs, sums)
    return Quantized(out, chosen.name, tuple(changes))


# --- the plan ---------------------------------------------------------------------------------------------------------


def _jobs(header: Header, policy: Policy) -> list[_Job]:
    family = open_file(header.path).family
    if family is None:
        raise ModelFileError(f"{header.path} is of no family that can be quantized")
    offsets = {entry["name"]: entry["offset"] for entry in header.native.tensors()}
    jobs = []
    for stored in header.tensors.values():
        place = family.place_of(stored.name)
        # What nothing here computes stays as it is.
        type_ = policy.type_of(_full_name(place.name), stored.shape) if place else stored.type
        jobs.append(_Job(stored, offsets[stored.name], type_))
    return jobs


def _full_name(name: str) -> str:
    """Names too long for ggml lost their ending; patterns have it."""
    return f"{name}.weight" if name.endswith("layernorm") else name


def _check_sources(header: Header, jobs: list[_Job], requantize: bool) -> None:
    before = Counter(job.stored.type for job in jobs if job.stored.type not in PLAIN and job.type != job.stored.type)
    if before and not requantize:
        kinds = ", ".join(f"{n} in {type_}" for type_, n in before.items())
        raise InputError(
            f"{header.path} is quantized already ({kinds} tensors would change): a second rounding adds its error to "
            "the first; quantize the F32, F16 or BF16 file, or ask for it with --requantize"
        )


# --- output -----------------------------------------------------------------------------------------------------------


def _metadata(header: Header, jobs: list[_Job], policy: Policy) -> Metadata:
    """The source's entries in their types; what they say of types, as it is now."""
    entries: Metadata = {}
    for key, entry in GGUFReader(header.path).fields.items():
        if not key.startswith("GGUF.") and key != "general.architecture":
            element = entry.types[1] if entry.types[0] == gguf.GGUFValueType.ARRAY else None
            entries[key] = (entry.contents(), entry.types[0], element)
    sizes: Counter[str] = Counter()
    for job in jobs:
        sizes[job.type] += job.stored.size
    most = sizes.most_common(1)[0][0]
    entries["general.file_type"] = count(int(_FILE_TYPES.get(most, LlamaFileType.MOSTLY_F16)))
    if any(job.type not in PLAIN for job in jobs):
        entries["general.quantization_version"] = count(GGML_QUANT_VERSION)
    entries["omniggml.quantize.policy"] = text(policy.name)
    return entries


def _write(
    path: Path, header: Header, jobs: list[_Job], policy: Policy, progress: Progress | None
) -> tuple[list[Change], list[int]]:
    writer = GGUFWriter(path, header.architecture)
    for key, (value, type_, element) in _metadata(header, jobs, policy).items():
        writer.add_key_value(key, value, type_, element)
    for job in jobs:
        raw = GGMLQuantizationType[job.type]
        # The NumPy type only has to differ from uint8, which would make the shape one of bytes; the raw type counts.
        writer.add_tensor_info(job.stored.name, job.stored.shape, np.dtype(np.float32), job.nbytes, raw_dtype=raw)
    total, done = sum(job.nbytes for job in jobs), 0
    changes, sums = [], []
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for job in jobs:
            if progress is not None:
                progress(job.stored.name, done, total)
            data, error = _encode(header, job)
            writer.write_tensor_data(data)
            changes.append(Change(job.stored.name, job.stored.type, job.type, job.nbytes, error))
            sums.append(crc32(data.data))
            done += job.nbytes
    finally:
        writer.close()
    return changes, sums


def _encode(header: Header, job: _Job) -> tuple[npt.NDArray[np.uint8], float]:
    """The tensor's new bytes, and the relative error that they bring."""
    data = np.empty(job.nbytes, np.uint8)
    position, lost, had = 0, 0.0, 0.0
    for piece in _pieces(header, job):
        if job.type == job.stored.type:
            new = piece
        else:
            rows = _rows(piece, job)
            new = _native.quantize_rows(rows, TYPES[job.type])
            lost += float(np.square(_native.dequantize(new, TYPES[job.type]) - rows.ravel(), dtype=np.float64).sum())
            had += float(np.square(rows, dtype=np.float64).sum())
        data[position : position + len(new)] = np.frombuffer(new, np.uint8)
        position += len(new)
    return data, sqrt(lost / had) if had else 0.0


def _pieces(header: Header, job: _Job) -> Iterator[bytes]:
    """The stored bytes, some whole rows at a time."""
    n_rows = prod(job.stored.shape[:-1])
    row = job.stored.nbytes // n_rows
    step = max(1, _CHUNK_VALUES // job.stored.shape[-1]) * row
    for start in range(0, job.stored.nbytes, step):
        yield header.native.read(job.offset + start, min(step, job.stored.nbytes - start))


def _rows(piece: bytes, job: _Job) -> npt.NDArray[np.float32]:
    stored = job.stored
    values = _native.dequantize(piece, TYPES.get(stored.type, stored.type.lower())).reshape(-1, stored.shape[-1])
    if not np.isfinite(values).all():
        raise ModelFileError(f"tensor {stored.name} holds NaN or infinity; convert the model again")
    if job.type == "F16" and np.abs(values).max() > 65504:
        raise ConversionError(f"tensor {stored.name} holds values beyond 65504, where F16 ends; use a policy with BF16")
    return values


def _read_back(path: Path, jobs: list[_Job], sums: list[int]) -> None:
    """Raises ConversionError unless the file holds exactly what was meant to be written."""
    written = read_header(path)
    entries = {entry["name"]: entry for entry in written.native.tensors()}
    for job, expected in zip(jobs, sums, strict=True):
        name = job.stored.name
        entry = entries.get(name)
        sound = entry is not None and (tuple(entry["shape"]), entry["type"].upper()) == (job.stored.shape, job.type)
        if not sound or _sum_of(written.native.read, entries[name]["offset"], job.nbytes) != expected:
            raise ConversionError(f"{path} was not written as it should be, at tensor {name}: the disk may be failing")


def _sum_of(read: Callable[[int, int], bytes], offset: int, size: int) -> int:
    total, step = 0, 1 << 24
    for start in range(0, size, step):
        total = crc32(read(offset + start, min(step, size - start)), total)
    return total


def by_type(changes: tuple[Change, ...]) -> dict[str, tuple[int, int, float]]:
    """Type -> tensors, bytes, and the largest relative error among them."""
    found: dict[str, tuple[int, int, float]] = {}
    for change in changes:
        n, nbytes, worst = found.get(change.after, (0, 0, 0.0))
        found[change.after] = (n + 1, nbytes + change.nbytes, max(worst, change.error))
    return found

"""A GGUF file in other types: ggml's own quantizers, row by row, by a policy."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import prod, sqrt
from pathlib import Path

import numpy as np
import numpy.typing as npt

from omniggml._native import __version__
from omniggml.checked import checked
from omniggml.errors import ConversionError, InputError, ModelFileError
from omniggml.files.families import Family
from omniggml.files.opening import open_file
from omniggml.files.plan import some_of
from omniggml.gguf.file_type import type_entries
from omniggml.gguf.header import Header, StoredTensor, read_header
from omniggml.gguf.metadata import Metadata, ValueType, count, text
from omniggml.gguf.output import FileJob, Pieces, Progress, identity_of, write_files
from omniggml.gguf.output_header import OutputTensor, header_bytes
from omniggml.gguf.split_file import SPLIT_COUNT, SPLIT_NO, SPLIT_TENSORS
from omniggml.gguf.type_names import LARGEST_F16, PLAIN, dequantize, nbytes_of, quantize_rows
from omniggml.hub_file import local_file
from omniggml.paths import as_path, member_name
from omniggml.printable import shown
from omniggml.quantization.groups import GROUPS
from omniggml.quantization.imatrix import Imatrix, Statistics, read_imatrix
from omniggml.spec.policy import Policy, policy_names, read_policy
from omniggml.spec.precision_needs import NEEDS
from omniggml.warning import warn
from omniggml.whole_file import STANDARD_OUTPUT, check_target

_CHUNK_VALUES = 1 << 22


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
    def by_type(self) -> dict[str, tuple[int, int, float]]:
        """Type -> tensors, bytes, and the largest relative error among them."""
        found: dict[str, tuple[int, int, float]] = {}
        for change in self.changes:
            n, nbytes, worst = found.get(change.after, (0, 0, 0.0))
            found[change.after] = (n + 1, nbytes + change.nbytes, max(worst, change.error))
        return found

    @property
    def twice(self) -> tuple[Change, ...]:
        return tuple(c for c in self.changes if c.before not in PLAIN and c.after != c.before)


@dataclass(frozen=True)
class _Job:
    stored: StoredTensor
    output: OutputTensor
    statistics: Statistics | None = None

    @property
    def type(self) -> str:
        return self.output.type

    def change(self, error: float) -> Change:
        return Change(self.stored.name, self.stored.type, self.type, self.output.nbytes, error)


@checked
def quantize(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    policy: str | os.PathLike[str] | Policy = "q8_0",
    imatrix: str | os.PathLike[str] | None = None,
    requantize: bool = False,
    split_max_size: int | None = None,
    progress: Progress | None = None,
) -> Quantized:
    """Write the file `source` to `target` in the types of a policy: a built-in name, the path of a .toml file,
    or what `read_policy` makes of either.

    Names, order and metadata stay. One block of rows is in memory at a time. The file gets its name when it is complete
    and was read back; what an interruption or a full disk leaves is gone on with by the same call. `imatrix`: a file
    that says which inputs of a matrix matter, as `omniggml imatrix` and llama.cpp write it; tensors that it knows are
    rounded with more care where it matters more. `split_max_size`: of `NAME.gguf`, files `NAME-00001-of-0000N.gguf` of
    at most so many bytes of tensors are written, as llama.cpp splits them; one of a tensor that is larger holds that
    alone, and a warning says so. `progress` is called as (tensor, bytes written, in all).

    Raises InputError for an unknown policy, for an imatrix of another model, and for a source that is quantized already
    unless `requantize` is set; ModelFileError for a source that can't be read; ConversionError where the target can't
    be written.
    """
    chosen = policy if isinstance(policy, Policy) else read_policy(policy)
    source = local_file(source)
    header = read_header(source)
    out = as_path(target)
    if out.suffix != ".gguf" and str(out) != STANDARD_OUTPUT:  # which is refused by what can be written to
        raise InputError(f"{out} is where the GGUF file goes; give it a name that ends in .gguf")
    read = [Path(path) for path in (source, imatrix, policy) if isinstance(path, (str, os.PathLike))]
    check_target(out, read, stream=False)
    jobs = _jobs(header, chosen)
    if not isinstance(policy, Policy) and policy not in policy_names():
        _warn_of_patterns(header, chosen, os.fspath(policy))
    known = {} if imatrix is None else read_imatrix(imatrix)
    if imatrix is not None:
        jobs = _with_statistics(jobs, known, os.fspath(imatrix))
    _check_sources(header, jobs, requantize)
    outputs = [job.output for job in jobs]
    metadata = _metadata(header, outputs, chosen)
    sources = [Path(member.path) for member in header.members]
    if imatrix is not None:
        metadata["quantize.imatrix.file"] = text(Path(imatrix).name)
        metadata["quantize.imatrix.entries_count"] = count(len(known))
        sources.append(Path(imatrix))
    files = _files(header, out, metadata, jobs, split_max_size, sources, read)
    errors = [error for notes in write_files(files, progress) for error in notes]
    changes = tuple(job.change(error) for job, error in zip(jobs, errors, strict=True))
    return Quantized(files[0].target, chosen.name, changes)


# --- the plan ---------------------------------------------------------------------------------------------------------


def _warn_of_patterns(header: Header, policy: Policy, path: str) -> None:
    """Of a person's own patterns that fit no tensor, as misspelled ones do; those of our lists are for any model."""
    ours = {need.pattern for need in NEEDS} | {pattern for group in GROUPS for pattern in group.patterns}
    family = _family_of(header)
    places = [family.place_of(name) for name in header.tensors]
    names = [full_name(place.name) for place in places if place]
    if astray := [pattern for pattern in policy.fits_none(names) if pattern not in ours]:
        warn(f"{path} has patterns that fit no tensor of {header.path}: {some_of(astray)}")


def _family_of(header: Header) -> Family:
    family = open_file(header.path).family
    if family is None:
        raise ModelFileError(f"{header.path} is of no family that can be quantized")
    return family


def _jobs(header: Header, policy: Policy) -> list[_Job]:
    family = _family_of(header)
    jobs = []
    for stored in header.tensors.values():
        place = family.place_of(stored.name)
        # What nothing here computes stays as it is.
        type_ = policy.type_of(full_name(place.name), stored.shape) if place else stored.type
        jobs.append(_Job(stored, _output(stored, type_)))
    return jobs


def _with_statistics(jobs: list[_Job], known: Imatrix, path: str) -> list[_Job]:
    """The jobs with what the imatrix says of their tensors. Raises InputError where it is of another model."""
    found = [replace(job, statistics=_by_matrix(job, known.get(job.stored.name))) for job in jobs]
    if all(job.statistics is None for job in found):
        raise InputError(f"{path} knows none of this file's tensors: it is of another model")
    for job in found:
        matrices = job.stored.shape[0] if len(job.stored.shape) == 3 else 1
        expected = (matrices, job.stored.shape[-1])
        if job.statistics is not None and job.statistics.sums.shape != expected:
            has = list(job.statistics.sums.shape)
            raise InputError(
                f"{path} has {has} values for {job.stored.name}, expected {list(expected)}: it is of another model"
            )
    return found


def _by_matrix(job: _Job, statistics: Statistics | None) -> Statistics | None:
    """The older format has the experts of a tensor one after another, in a row."""
    shape = job.stored.shape
    if statistics is None or len(shape) != 3 or statistics.sums.shape != (1, shape[0] * shape[-1]):
        return statistics
    return Statistics(statistics.sums.reshape(shape[0], shape[-1]), np.repeat(statistics.counts, shape[0]))


def _output(stored: StoredTensor, type_: str) -> OutputTensor:
    return OutputTensor(stored.name, stored.shape, type_, nbytes_of(type_, stored.size))


def full_name(name: str) -> str:
    """The name that patterns are for: names too long for ggml lost their ending."""
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


def _files(
    header: Header,
    out: Path,
    metadata: Metadata,
    jobs: list[_Job],
    most: int | None,
    sources: list[Path],
    read: list[Path],
) -> list[FileJob]:
    """One file, or several of at most `most` bytes of tensors."""
    groups = [jobs] if most is None else _groups(jobs, most)
    files = []
    for number, group in enumerate(groups):
        target, own = out, metadata
        if len(groups) > 1:
            split: Metadata = {
                SPLIT_NO: (number, ValueType.UINT16, None),
                SPLIT_COUNT: (len(groups), ValueType.UINT16, None),
                SPLIT_TENSORS: (len(jobs), ValueType.INT32, None),
            }
            target = out.with_name(member_name(out.name.removesuffix(".gguf"), number + 1, len(groups)))
            own = {**metadata, **split} if number == 0 else split
        outputs = [job.output for job in group]
        start = header_bytes(header.architecture, own, outputs)
        identity = identity_of(start, sources, "quantize", __version__)
        files.append(FileJob(target, start, outputs, identity, _pieces_of(header, group), read))
    return files


def _pieces_of(header: Header, group: list[_Job]) -> Callable[[int], Pieces]:
    return lambda number: _pieces(header, group[number])


def _groups(jobs: list[_Job], most: int) -> list[list[_Job]]:
    if type(most) is not int or most < 1:
        raise InputError(f"split_max_size is {shown(most)}, expected a number of bytes")
    groups: list[list[_Job]] = [[]]
    used = 0
    for job in jobs:
        if groups[-1] and used + job.output.nbytes > most:
            groups.append([])
            used = 0
        groups[-1].append(job)
        used += job.output.nbytes
    beyond = [job.output for job in jobs if job.output.nbytes > most]
    if beyond:
        largest = max(beyond, key=lambda output: output.nbytes)
        warn(
            f"{len(beyond)} files are larger than the {most} bytes asked for, as a tensor isn't split: the largest, "
            f"{largest.name}, has {largest.nbytes}"
        )
    return groups


def _metadata(header: Header, outputs: list[OutputTensor], policy: Policy) -> Metadata:
    """The source's entries in their types; what they say of types and places, as it is now."""
    rewritten = ("general.architecture", "general.alignment", SPLIT_NO, SPLIT_COUNT, SPLIT_TENSORS)
    entries = {key: entry for key, entry in header.entries().items() if key not in rewritten}
    return {**entries, **type_entries(outputs), "omniggml.quantize.policy": text(policy.name)}


def _pieces(header: Header, job: _Job) -> Pieces:
    """The tensor's new bytes; returns the relative error that they bring."""
    lost, had = 0.0, 0.0
    for matrix, piece in _stored_pieces(header, job):
        if job.type == job.stored.type:
            yield piece
            continue
        rows = _rows(piece, job)
        importance = job.statistics.importance(matrix) if job.statistics else None
        new = quantize_rows(rows, job.type, importance)
        lost += float(np.square(dequantize(new, job.type) - rows.ravel(), dtype=np.float64).sum())
        had += float(np.square(rows, dtype=np.float64).sum())
        yield new
    return sqrt(lost / had) if had else 0.0


def _stored_pieces(header: Header, job: _Job) -> Iterator[tuple[int, bytes]]:
    """The stored bytes, some whole rows at a time, and the number of the matrix that they are of."""
    shape = job.stored.shape
    matrices = shape[0] if job.statistics and len(shape) == 3 else 1
    nbytes = job.stored.nbytes // matrices
    row = nbytes // (prod(shape[:-1]) // matrices)
    step = max(1, _CHUNK_VALUES // shape[-1]) * row
    for matrix in range(matrices):
        for start in range(0, nbytes, step):
            yield matrix, header.read(job.stored, matrix * nbytes + start, min(step, nbytes - start))


def _rows(piece: bytes, job: _Job) -> npt.NDArray[np.float32]:
    stored = job.stored
    values = dequantize(piece, stored.type).reshape(-1, stored.shape[-1])
    if not np.isfinite(values).all():
        raise ModelFileError(f"tensor {stored.name} holds NaN or infinity; convert the model again")
    if job.type == "F16" and np.abs(values).max() > LARGEST_F16:
        raise ConversionError(
            f"tensor {stored.name} holds values beyond {LARGEST_F16:g}, where F16 ends; use a policy with BF16"
        )
    return values

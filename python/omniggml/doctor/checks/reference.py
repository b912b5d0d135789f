"""Against a reference: which tensors differ by more than their type explains, and what that does to the modules."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml.conversion.checkpoint_weights import CheckpointWeights
from omniggml.conversion.safetensors_reader import Checkpoint
from omniggml.doctor.case import Case
from omniggml.doctor.check_report import Report
from omniggml.doctor.checks.settings import same_setting
from omniggml.doctor.thresholds import (
    CHANGED_BACK,
    FEW_BITS,
    NAMED_ERRORS,
    REFERENCE_ERROR,
    ROUNDING,
    ROUNDING_BELOW_5_BITS,
    ROUNDING_ELSE,
    ROUNDING_OF_VECTORS,
)
from omniggml.errors import OmniError
from omniggml.files.stored_weights import StoredWeights
from omniggml.gguf.type_names import bits_of
from omniggml.spec.sections import SPOKEN_SECTIONS

FloatArray = npt.NDArray[np.float32]

_NOT_COMPARED = ("max_position_embeddings", "mrope_section", "intermediate_size")


def check_reference(case: Case) -> Report:
    """Needs a reference: an F32 file of any family, or the Hugging Face checkpoint."""
    if case.reference is None or case.weights is None:
        return Report()
    report = Report("reference")
    try:
        _compare(report, case.weights, open_reference(case.reference))
    except OmniError as error:
        report.fail(f"the reference: {error}")
    return report


def _compare(report: Report, weights: StoredWeights, reference: StoredWeights | CheckpointWeights) -> None:
    _compare_settings(report, weights, reference)
    wrong: list[tuple[float, str, str]] = []
    for name in weights:
        if name not in reference:
            continue
        ours, theirs = weights[name], reference[name]
        if ours.shape != theirs.shape:
            wrong.append((float("inf"), name, f"has the shape {list(ours.shape)}, the reference {list(theirs.shape)}"))
            continue
        error = _relative(ours, theirs)
        if REFERENCE_ERROR.above(error / _allowed(weights.type_of(name), ours)):
            wrong.append((error, name, _how(ours, theirs, error)))
    if wrong:
        wrong.sort(key=lambda entry: -entry[0])
        report.find(
            "file.reference-differs",
            f"{wrong[0][1]} {wrong[0][2]}"
            + (f", and {len(wrong) - 1} more tensors differ." if len(wrong) > 1 else "."),
            tensors=tuple(name for _, name, _ in wrong),
            errors={name: round(error, 4) for error, name, _ in wrong[:NAMED_ERRORS]},
        )


def open_reference(path: Path) -> StoredWeights | CheckpointWeights:
    """A GGUF file, or a directory with a checkpoint."""
    return CheckpointWeights(Checkpoint(path)) if path.is_dir() else StoredWeights(path)


def _relative(ours: FloatArray, theirs: FloatArray) -> float:
    power = float(np.square(theirs, dtype=np.float64).sum())
    lost = float(np.square(ours.astype(np.float64) - theirs).sum())
    if not np.isfinite(lost):
        return float("inf")
    return math.sqrt(lost / power) if power else float(lost > 0)


def _allowed(type_: str, values: FloatArray) -> float:
    allowed = ROUNDING.get(type_, ROUNDING_BELOW_5_BITS if bits_of(type_) < FEW_BITS else ROUNDING_ELSE)
    return allowed * (ROUNDING_OF_VECTORS if values.ndim == 1 else 1)


def _how(ours: FloatArray, theirs: FloatArray, error: float) -> str:
    """What was done to it, where that can be said."""
    with np.errstate(all="ignore"):
        changes: dict[str, Any] = {
            "is the reference's with its sign turned": -theirs,
            "is the exponential of the reference's": np.exp(theirs),
            "is the logarithm of the reference's": np.log(theirs),
            "is the reference's, reversed along its rows": theirs[::-1],
        }
        if theirs.ndim > 1 and theirs.shape[-1] == theirs.shape[-2]:
            changes["is the reference's, transposed"] = np.swapaxes(theirs, -1, -2)
        if theirs.ndim > 2 and theirs.shape[0] == theirs.shape[1]:
            changes["is the reference's with in and out swapped"] = theirs.transpose(1, 0, 2)
        if theirs.ndim > 2:
            changes["is the reference's with the kernel reversed"] = theirs[:, :, ::-1]
        if theirs.ndim > 1:
            changes["is the reference's, laid out the other way round"] = np.ascontiguousarray(theirs.T).reshape(
                theirs.shape
            )
        for sentence, changed in changes.items():
            if np.isfinite(changed).all() and CHANGED_BACK.below(_relative(ours, changed)):
                return sentence
    scale = float(np.vdot(ours, theirs) / (float(np.vdot(theirs, theirs)) or 1))
    if scale and CHANGED_BACK.below(_relative(ours, theirs * np.float32(scale))):
        return f"is the reference's times {scale:.3g}"
    return f"differs from the reference's by {error:.0%} of its size"


def _in_any_order(name: str, value: Any) -> Any:
    """Speakers are told by their names: whichever comes first."""
    return dict(value) if name == "speakers" else value


def _compare_settings(report: Report, weights: StoredWeights, reference: StoredWeights | CheckpointWeights) -> None:
    if weights.derived is None or reference.derived is None:
        return
    wrong = []
    both = {*weights.sections} & {*reference.sections}
    for section in (name for name in (*SPOKEN_SECTIONS, "token") if name in both):
        ours, theirs = (
            dataclasses.asdict(getattr(derived.config, section)) for derived in (weights.derived, reference.derived)
        )
        for name, value in theirs.items():
            if f"{section}.{name}" in reference.derived.assumed or name in _NOT_COMPARED:
                continue
            if not same_setting(_in_any_order(name, ours[name]), _in_any_order(name, value)):
                is_told = f"{section}.{name}" not in weights.derived.assumed
                verb = "is" if is_told else "is not told, and taken as"
                wrong.append(f"{section}.{name} {verb} {ours[name]}, the reference's {value}")
    if wrong:
        report.find(
            "file.reference-metadata",
            f"Settings differ from the reference's: {wrong[0]}.",
            settings=wrong,
        )

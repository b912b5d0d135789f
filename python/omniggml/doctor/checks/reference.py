"""Against a reference: which tensors differ by more than their type explains, and what that does to the modules."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml.conversion.checkpoint_weights import CheckpointWeights
from omniggml.conversion.safetensors_reader import Checkpoint
from omniggml.doctor.case import Case
from omniggml.errors import OmniError
from omniggml.files.stored_weights import StoredWeights
from omniggml.gguf.type_names import bits_of

FloatArray = npt.NDArray[np.float32]

# Relative error that a type may bring; a quarter more than what bell-shaped values lose, twice for outliers.
_ALLOWED = {"F32": 1e-5, "F16": 2e-3, "BF16": 1e-2, "Q8_0": 0.03, "Q6_K": 0.08, "Q5_K": 0.15, "Q5_0": 0.2, "Q5_1": 0.2}
_ALLOWED_ELSE = 0.4
_NOT_COMPARED = ("max_position_embeddings", "mrope_section", "intermediate_size")


def check_reference(case: Case) -> None:
    """Needs a reference: an F32 file of any family, or the Hugging Face checkpoint."""
    if case.reference is None or case.weights is None:
        return
    case.checked.append("reference")
    reference = open_reference(case.reference)
    _compare_settings(case, case.weights, reference)
    wrong: list[tuple[float, str, str]] = []
    for name in case.weights:
        if name not in reference:
            continue
        ours, theirs = case.weights[name], reference[name]
        if ours.shape != theirs.shape:
            wrong.append((float("inf"), name, f"has the shape {list(ours.shape)}, the reference {list(theirs.shape)}"))
            continue
        error = _relative(ours, theirs)
        if error > _allowed(case.weights.type_of(name), ours):
            wrong.append((error, name, _how(ours, theirs, error)))
    if wrong:
        wrong.sort(key=lambda entry: -entry[0])
        case.find(
            "file.reference-differs",
            f"{wrong[0][1]} {wrong[0][2]}"
            + (f", and {len(wrong) - 1} more tensors differ." if len(wrong) > 1 else "."),
            tensors=tuple(name for _, name, _ in wrong),
            certainty=0.96 if len(wrong) < 10 else 0.99,
            errors={name: round(error, 4) for error, name, _ in wrong[:20]},
        )


def open_reference(path: Path) -> StoredWeights | CheckpointWeights:
    """A GGUF file, or a directory with a checkpoint."""
    return CheckpointWeights(Checkpoint(path)) if path.is_dir() else StoredWeights(path)


def _relative(ours: FloatArray, theirs: FloatArray) -> float:
    power = float(np.square(theirs, dtype=np.float64).sum())
    lost = float(np.square(ours.astype(np.float64) - theirs).sum())
    if not np.isfinite(lost):
        return float("inf")
    return (lost / power) ** 0.5 if power else float(lost > 0)


def _allowed(type_: str, values: FloatArray) -> float:
    allowed = _ALLOWED.get(type_, _ALLOWED_ELSE if bits_of(type_) < 5 else 0.2)
    # A grid of 8 bits serves vectors with one large value badly.
    return allowed * (4 if values.ndim == 1 else 1)


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
        if theirs.ndim == 3 and theirs.shape[0] == theirs.shape[1]:
            changes["is the reference's with in and out swapped"] = theirs.transpose(1, 0, 2)
        if theirs.ndim == 3:
            changes["is the reference's with the kernel reversed"] = theirs[:, :, ::-1]
        if theirs.ndim > 1:
            changes["is the reference's, laid out the other way round"] = np.ascontiguousarray(theirs.T).reshape(
                theirs.shape
            )
        for sentence, changed in changes.items():
            if np.isfinite(changed).all() and _relative(ours, changed) < 0.05:
                return sentence
    scale = float(np.vdot(ours, theirs) / max(float(np.vdot(theirs, theirs)), 1e-30))
    if scale and _relative(ours, theirs * np.float32(scale)) < 0.05:
        return f"is the reference's times {scale:.3g}"
    return f"differs from the reference's by {error:.0%} of its size"


def _compare_settings(case: Case, weights: StoredWeights, reference: StoredWeights | CheckpointWeights) -> None:
    if weights.derived is None or reference.derived is None:
        return
    wrong = []
    for section in ("talker", "code_predictor", "code2wav", "tokens"):
        ours, theirs = (
            dataclasses.asdict(getattr(derived.config, section)) for derived in (weights.derived, reference.derived)
        )
        for name, value in theirs.items():
            if f"{section}.{name}" in reference.derived.assumed or name in _NOT_COMPARED:
                continue
            if not _same(ours[name], value):
                wrong.append(f"{section}.{name} is {ours[name]}, the reference's {value}")
    if wrong:
        case.find(
            "file.reference-metadata",
            f"Settings differ from the reference's: {wrong[0]}.",
            certainty=0.97,
            settings=wrong,
        )


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, (int, float)):
        return abs(a - b) <= 1e-4 * max(abs(a), abs(b))
    return bool(a == b)


def try_reference(case: Case) -> None:
    """`check_reference`, saying so where the reference can't be opened."""
    try:
        check_reference(case)
    except OmniError as error:
        case.skipped.append(f"the reference: {error}")

"""Names and numbers in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from omniggml.doctor import thresholds as bounds


def count(names: Sequence[str]) -> str:
    """How many tensors, with the verb that follows."""
    return f"{len(names)} tensor{'s are' if len(names) > 1 else ' is'}"


def some(names: Sequence[str], most: int = 3) -> str:
    """The first of them, and how many more there are."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def listed(words: Sequence[str]) -> str:
    """One after the other: "a, b and c"; "" of none."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def seams_lose(seams: int, samples: int) -> str:
    """How many samples each of them loses."""
    return f"one seam loses {samples} samples" if seams == 1 else f"{seams} seams lose {samples} samples each"


def share(residual: float) -> str:
    """Of what is left over: in hundredths where it is much."""
    return f"{residual:.0%}" if residual >= bounds.SAME.value else f"{residual:.1e}"

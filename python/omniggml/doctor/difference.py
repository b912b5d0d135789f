"""The shape of what ours leaves over of theirs: where in time, where beside the sound, in which frequencies.

What a mistake leaves over tells where to look: it begins behind a window, grows with a state that is kept, comes back
with every piece, or is there in the pauses as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml.comparison.agreement import Match
from omniggml.doctor import thresholds as bounds
from omniggml.doctor.words import listed
from omniggml.spec.model_config import SAMPLE_RATE

Samples = npt.NDArray[np.float64]
Floats = npt.NDArray[np.floating[Any]]

_TINY = 1e-30
_KHZ = 1000


@dataclass(frozen=True)
class Shape:
    """`begins`: the first frame that differs, 0 where all do. `grows`: the power at the end over that at the beginning,
    beside the sound; 1 where it neither grows nor fades. `period`: of how many frames it comes back in one, 0 for none.
    `only`: first and last of the frames in a row that hold all of it, () where it is in most.
    `in_pauses`: whether it is as loud where ours is silent. `band`: the Hz between which it lies, None for everywhere
    or where ours lies."""

    begins: int
    grows: float
    period: int
    only: tuple[tuple[int, int], ...]
    in_pauses: bool
    band: tuple[float, float] | None

    @property
    def clauses(self) -> list[str]:
        """What can be said of it, each for the words "what is left over"."""
        words = [f"begins at frame {self.begins}"] if self.begins else []
        if self.grows != 1:
            words.append("grows towards the end" if self.grows > 1 else "is largest at the beginning")
        if self.period:
            words.append(f"comes back every {self.period} frames")
        if self.only:
            words.append(f"lies in frames {listed([f'{first} to {last}' for first, last in self.only])} alone")
        if self.in_pauses:
            words.append("is as loud in the pauses")
        if self.band is not None:
            words.append(_band_words(*self.band))
        return words

    @property
    def sentence(self) -> str:
        """One sentence, "" where it follows the sound."""
        return f" What is left over {listed(self.clauses)}." if self.clauses else ""

    @property
    def first(self) -> int:
        """The first frame that differs."""
        return self.only[0][0] if self.only else self.begins

    @property
    def in_time(self) -> bool:
        """Whether it is bound to a time, as rounding isn't."""
        return bool(self.begins or self.period or self.only or self.grows != 1)

    def as_evidence(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "begins_at_frame": self.begins,
            "grows": round(self.grows, 3),
            "period_in_frames": self.period,
            "only_in_frames": [list(run) for run in self.only],
            "in_pauses": self.in_pauses,
            "band_hz": self.band,
        }


def shape_of(theirs: Samples, ours: Samples, found: Match, per_frame: int) -> Shape:
    """`found`: how ours lies in theirs. Samples of the frames that both have are compared."""
    a, b = theirs[max(found.lag, 0) :], ours[max(-found.lag, 0) :]
    frames = min(len(a), len(b)) // per_frame
    a, b = a[: frames * per_frame], b[: frames * per_frame]
    if frames < bounds.FEWEST_SHAPED:
        return Shape(0, 1.0, 0, (), False, None)
    b = b - b.mean()
    own = np.square(b).reshape(frames, per_frame).mean(axis=1)
    loud = own > bounds.PAUSE_SHARE * own.mean()
    # One gain that fits all frames together takes from those that differ, and leaves some over in the others.
    gains = (a * b).reshape(frames, per_frame).mean(axis=1)[loud] / own[loud]
    gain = float(np.median(gains)) if loud.any() else found.gain
    b = gain * b
    # A constant is allowed for, as it is usually: what differs at times may have one of its own.
    left = (a - b - np.median(a - b)).reshape(frames, per_frame)
    sound = b.reshape(frames, per_frame)
    power, loudness = np.square(left).mean(axis=1), gain**2 * own
    share = np.where(loud, power / (loudness + _TINY), np.nan)
    begins, period = _begins(share), _period(share)
    return Shape(
        begins,
        _grows(share[begins:]),
        period,
        () if begins or period else _only(share),
        _in_pauses(power[begins:], loud[begins:]),
        _band(left, sound),
    )


def _begins(share: Floats) -> int:
    """The first frame that differs, after some that sound and leave over less than a hundredth of what a usual one of
    the second half does; 0 where it comes by and by."""
    usual = _median(share[len(share) // 2 :])
    differs = np.flatnonzero(share > bounds.UNTOUCHED * usual)
    first = int(differs[0]) if len(differs) else 0
    if np.isfinite(share[:first]).sum() < bounds.FEWEST_BEFORE:
        return 0
    return first if np.nanmax(share[first : first + bounds.FEWEST_BEFORE]) > bounds.AT_ONCE * usual else 0


def _only(share: Floats) -> tuple[tuple[int, int], ...]:
    """The frames in a row that differ, where many that sound leave over less than a hundredth of what all do: as those
    at the beginning of pieces that saw too little of what comes before."""
    heard = share[np.isfinite(share)]
    if len(heard) < bounds.FEWEST_SHAPED:
        return ()
    usual = bounds.UNTOUCHED * float(heard.mean())
    differs = np.flatnonzero(share > usual)
    if (heard <= usual).sum() < bounds.MANY_UNTOUCHED * len(heard) or not len(differs):
        return ()
    every = np.split(differs, np.flatnonzero(np.diff(differs) > bounds.FEWEST_BEFORE) + 1)
    runs = [run for run in every if np.nansum(share[run]) > bounds.UNTOUCHED * heard.sum()]
    return tuple((int(run[0]), int(run[-1])) for run in runs) if len(runs) <= bounds.MOST_RUNS else ()


def _grows(share: Floats) -> float:
    """From the first to the last third of what sounds, by way of the second."""
    heard = share[np.isfinite(share)]
    if len(heard) < bounds.FEWEST_SHAPED:
        return 1.0
    first, second, third = (_median(part) for part in np.array_split(heard, 3))
    steady = min(first, third) <= second <= max(first, third)
    return third / first if steady and max(first, third) > bounds.GROWS * min(first, third) else 1.0


def _period(share: Floats) -> int:
    """The least number of frames after which it comes back each time, so many times louder than between."""
    for period in range(bounds.SHORTEST_SEAM, len(share) // bounds.FEWEST_SEAMS + 1):
        whole = share[: len(share) // period * period].reshape(-1, period)
        usual = [_median(column) for column in whole.T]
        phase = int(np.argmax(usual))
        between = _median(np.delete(whole, phase, axis=1))
        # A speech begins without a seam.
        seams = share[phase::period] if phase else share[period::period]
        heard = seams[np.isfinite(seams)]
        if len(heard) >= bounds.FEWEST_SEAMS - 1 and float(heard.min()) > bounds.COMES_BACK * between:
            return period
    return 0


def _in_pauses(power: Floats, loud: npt.NDArray[np.bool_]) -> bool:
    if min(loud.sum(), (~loud).sum()) < bounds.FEWEST_BEFORE:
        return False
    return _median(power[~loud]) > bounds.AS_LOUD * _median(power[loud])


def _median(shares: Floats) -> float:
    """Of frames that sound; next to nothing where none does."""
    heard = shares[np.isfinite(shares)]
    return float(np.median(heard)) + _TINY if heard.size else _TINY


def _band(left: Floats, sound: Floats) -> tuple[float, float] | None:
    """Where nine tenths of it lie, if less than half of ours does."""
    window = np.hanning(left.shape[1])
    powers = [np.square(np.abs(np.fft.rfft(x * window, axis=1))).sum(axis=0) for x in (left, sound)]
    shares = [np.cumsum(power) / (power.sum() + _TINY) for power in powers]
    hertz = np.fft.rfftfreq(left.shape[1], 1 / SAMPLE_RATE)
    for low, high in ((1 - bounds.IN_BAND, 1.0), (0.0, bounds.IN_BAND)):
        first, last = (int(np.searchsorted(shares[0], at)) for at in (low, high))
        first, last = (0 if low == 0 else first), min(last, len(hertz) - 1)
        ours = shares[1][last] - (shares[1][first - 1] if first else 0)
        if ours < bounds.OURS_IN_BAND:
            return float(hertz[first]), float(hertz[last])
    return None


def _band_words(low: float, high: float) -> str:
    if low == 0:
        return f"lies below {high / _KHZ:.1f} kHz"
    return f"lies above {low / _KHZ:.1f} kHz"

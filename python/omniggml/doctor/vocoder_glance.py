"""A few samples of a vocoder, roughly: what lies close before them in each stage, all else as if nothing were wrong.

A vocoder's stages look far back, and most of what a trial computes is that. What is changed there is heard less: of
mistakes of the built-in voice that change a tenth of the samples' energy and more, what a glance shows has a cosine of
0.99 with what is changed in the median, of more than 0.83 in 19 of 20.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml.doctor import thresholds as bounds
from omniggml.doctor.vocoder_cone import Cone, FloatArray
from omniggml.doctor.vocoder_mirror import RIGHT, AnyChoices, Choices, StagePart, VocoderMirror


class VocoderGlance:
    """At the samples of a cone, whose vocoder is `mirror` with `choices`, and of which `seen` enters each stage behind
    the transformer; `back`: of how many in each stage, before those that make these samples."""

    def __init__(
        self, mirror: VocoderMirror, choices: AnyChoices, cone: Cone, seen: Sequence[npt.NDArray[Any]], back: int
    ) -> None:
        self._mirror, self._choices, self._cone, self._seen, self._back = mirror, choices, cone, seen, back
        self._looks: dict[
            int, tuple[int, StagePart]
        ] = {}  # by stage: how many of the last enter, and what is made of these
        many = _length(cone.span(len(cone.stages) - 1).makes)
        for number in range(len(cone.stages) - 1, cone.convolutions - 1, -1):
            x = seen[number - cone.convolutions]
            many, part = self._look(number, many, x)
            self._looks[number] = many, part

    @staticmethod
    def is_able(choices: AnyChoices) -> bool:
        """Whether all that a stage sees lies before, and as many samples are made."""
        chosen = [choices] if isinstance(choices, Choices) else [own for _, own in choices.changes]
        alike = ("padding", "trim", "rates", "units", "upsampled")
        return all(getattr(own, name) == getattr(RIGHT, name) for own in chosen for name in alike) and not any(
            own.limit == "peak" for own in chosen
        )

    @property
    def tells(self) -> float:
        """The least cosine of what it shows of a change with what that changes: of channels that are mixed with their
        neighbours, before some stages of the first half."""
        first, last = self._cone.convolutions, len(self._cone.stages) - 1
        given = {
            first + n: [np.asarray(self._seen[n] + bounds.MIXED * np.roll(self._seen[n], 1, axis=0), np.float32)]
            for n in (0, len(self._seen) // 4, len(self._seen) // 2)
        }
        ours = self._cone.samples(self._mirror, last, self._seen[-1])
        both = self.samples_of_many(given), self._cone.samples_of_many(self._mirror, given)
        shown, whole = (samples - ours for samples in both)
        powers = np.square(shown).sum(axis=1) * np.square(whole).sum(axis=1)
        cosines = (shown * whole).sum(axis=1) / np.sqrt(np.maximum(powers, bounds.LEAST_SHARE))
        return float(np.nan_to_num(cosines).min())

    def samples_of_many(self, given: Mapping[int, Sequence[npt.NDArray[Any]]]) -> FloatArray:
        """[number of them, samples]: of what stages are given, as `Cone.samples_of_many`."""
        many: list[npt.NDArray[Any]] = []
        with np.errstate(over="ignore", invalid="ignore"):
            for number in range(min(given), len(self._cone.stages)):
                enter, part = self._looks[number]
                come = [np.stack([x[:, -enter:] for x in given[number]], axis=1)] if number in given else []
                x = np.concatenate([*many, *come], axis=1)
                many = [self._mirror.step(self._cone.stages[number], x, self._choices, part)]
        return np.asarray(many[0][0], np.float32)

    def _look(self, number: int, many: int, x: FloatArray) -> tuple[int, StagePart]:
        """How many of what enters a stage are looked at to make so many, and how."""
        span, stage, entering = self._cone.span(number), self._cone.stages[number], x.shape[-1]
        if ".block.1" in stage or (stage.endswith(".0") and ".upsample." in stage):  # a transposed convolution
            taps = -(-self._mirror.weight(f"{stage}.conv.weight").shape[2] // span.rate)
            enter = min(-(-many // span.rate) + taps, entering)
            stop = span.makes.stop - (entering - enter) * span.rate
            return enter, StagePart(slice(stop - many, stop))
        reach = entering - _length(span.makes)
        enter = min(many + min(reach, self._back), entering)
        before = self._mirror.bent(stage, x[:, : entering - enter], self._choices)
        return enter, StagePart(slice(enter - many, enter), before)


def _length(some: slice) -> int:
    return int(some.stop - some.start)

"""A few samples of a vocoder, and no more of each stage than what these see.

A trial that needs a fifth of a frame computes a tenth of what the frames up to there take: residual units look back, by
fewer samples the later they come, and only the transformer sees frames.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml.doctor.products import Steps, computed
from omniggml.doctor.vocoder_mirror import (
    DILATIONS,
    WHOLE,
    AnyChoices,
    Choices,
    StagePart,
    VocoderMirror,
    padded_before,
    trimmed,
)

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class StageSpan:
    """What a stage is given, [first, last), and which of what it makes of that, `rate` of each, is looked at."""

    first: int
    last: int
    makes: slice
    rate: int


class Cone:
    """Samples `start` to `stop` of a vocoder with these choices, whose `mirror` gives the shapes of its weights."""

    def __init__(self, mirror: VocoderMirror, choices: AnyChoices, start: int, stop: int) -> None:
        self._mirror, self._choices = mirror, choices
        self.stages = mirror.stages()
        self._convolutions = mirror.convolutions
        self._spans: dict[int, StageSpan] = {}
        for number in range(len(self.stages) - 1, self._convolutions - 1, -1):
            first, last, rate = self._seen(self.stages[number], start, stop)
            first = max(first, 0)
            self._spans[number] = StageSpan(first, last, slice(start - first * rate, stop - first * rate), rate)
            start, stop = first, last
        self.frames = stop

    def choosing(self, choices: AnyChoices) -> Cone:
        """The same with other choices, of which none moves what a stage sees."""
        other = copy.copy(self)
        other._choices = choices
        return other

    @property
    def convolutions(self) -> int:
        """The first stage behind the transformer, in which not all is seen that comes before."""
        return self._convolutions

    def sees_like(self, other: Cone) -> bool:
        """Whether each stage behind the transformer is given the same."""
        return self._spans == other._spans

    def entering(self, mirror: VocoderMirror, x: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """What enters each stage behind the transformer, from what leaves that, [channels, time]."""
        inputs = []
        with np.errstate(over="ignore", invalid="ignore"):
            for number in range(self._convolutions, len(self.stages)):
                x = self.given(number, x)
                inputs.append(x)
                x = self.made(mirror, number, x)
        return inputs

    def samples(self, mirror: VocoderMirror, first: int, x: npt.NDArray[Any]) -> FloatArray:
        """From what enters stage number `first`: before the convolutions that of all frames. Fewer than asked for where
        the speech ends before."""
        with np.errstate(over="ignore", invalid="ignore"):
            return computed(self.sampling(mirror, first, x))

    def sampling(self, mirror: VocoderMirror, first: int, x: npt.NDArray[Any]) -> Steps[FloatArray]:
        """`samples`, product by product."""
        for number in range(first, len(self.stages)):
            x = yield from self.making(mirror, number, self.given(number, x))
        return np.asarray(x[0], np.float32)

    def samples_of_many(self, mirror: VocoderMirror, given: Mapping[int, Sequence[npt.NDArray[Any]]]) -> FloatArray:
        """[number of them, samples], as `samples` of each: of what stages are given, by stages' numbers, all behind the
        transformer. Side by side, so that each product is of all that have come so far."""
        many: list[npt.NDArray[Any]] = []
        with np.errstate(over="ignore", invalid="ignore"):
            for number in range(min(given), len(self.stages)):
                come = [np.stack(given[number], axis=1)] if number in given else []
                many = [self.made(mirror, number, np.concatenate([*many, *come], axis=1))]
        return np.asarray(many[0][0], np.float32)

    @property
    def keeps_apart(self) -> bool:
        """Whether what lies side by side is computed as each alone."""
        chosen = [self._choices] if isinstance(self._choices, Choices) else [own for _, own in self._choices.changes]
        return not any(own.limit == "peak" for own in chosen)

    def span(self, number: int) -> StageSpan:
        """Of a stage behind the transformer."""
        return self._spans[number]

    def given(self, number: int, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Of what the stage before makes what this one is given."""
        span = self._spans.get(number)
        return x[:, span.first : span.last] if span and number == self._convolutions else x

    def made(self, mirror: VocoderMirror, number: int, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """What one stage makes of what it is given."""
        return computed(self.making(mirror, number, x))

    def making(self, mirror: VocoderMirror, number: int, x: npt.NDArray[Any]) -> Steps[FloatArray]:
        """`made`, product by product."""
        span = self._spans.get(number)
        look = StagePart(span.makes) if span else WHOLE
        return (yield from mirror.steps(self.stages[number], x, self._choices, look))

    def unlooked(self, number: int, looked: FloatArray) -> Callable[[int], FloatArray]:
        """What is looked at of what a stage makes, [.., time], among all that it makes, which is so many long: zero
        elsewhere."""

        def whole(time: int) -> FloatArray:
            y = np.zeros((*looked.shape[:-1], time), np.float32)
            y[..., self._spans[number].makes] = looked
            return y

        return whole

    def _seen(self, stage: str, start: int, stop: int) -> tuple[int, int, int]:
        """What a stage sees of its input to make [start, stop) of its output, and how many it makes of one."""
        part = stage.split(".")
        if stage == "code2wav":
            return start, stop, 1
        if part[1] == "upsample" and part[3] == "1":
            return *self._convolved(f"{stage}.dwconv", 1, start, stop), 1
        if rate := self._rate(part):
            return *self._transposed(stage, rate, start, stop), rate
        if len(part) > 3:
            block = ".".join(part[:3])
            if self._choices.at(block).units == "chain":
                return *self._seen_by_unit(block, int(part[4]), start, stop), 1
            if part[4] != "2":
                return start, stop, 1  # all are computed with the first
            every = [self._seen_by_unit(block, unit, start, stop) for unit, _ in enumerate(DILATIONS, 2)]
            return min(first for first, _ in every), max(last for _, last in every), 1
        return *self._convolved(stage, 1, start, stop), 1

    def _seen_by_unit(self, block: str, unit: int, start: int, stop: int) -> tuple[int, int]:
        path = f"{block}.block.{unit}"
        dilated = self._choices.at(f"{path}.conv1").dilated
        dilation = self._choices.at(block).dilations[unit - 2] if dilated else 1
        return self._convolved(f"{path}.conv1", dilation, *self._convolved(f"{path}.conv2", 1, start, stop))

    def _convolved(self, path: str, dilation: int, start: int, stop: int) -> tuple[int, int]:
        reach = (self._mirror.weight(f"{path}.conv.weight").shape[2] - 1) * dilation
        back = padded_before(reach, self._choices.at(path).padding, dilation)
        # At a slice's end the padding isn't that of the whole, so what it makes there is none of what is looked at.
        return start - reach, stop + reach - back

    def _transposed(self, path: str, rate: int, start: int, stop: int) -> tuple[int, int]:
        kernel = self._mirror.weight(f"{path}.conv.weight").shape[2]
        cut, _ = trimmed(max(kernel - rate, 0), self._choices.at(path).trim)
        first = (start + cut - kernel) // rate + 1
        return first, max((stop - 1 + cut) // rate + 1, first + 1)

    def _rate(self, part: list[str]) -> int:
        """Of a transposed convolution, 0 for another stage."""
        geometry = self._mirror.geometry
        if part[1] == "upsample":
            return int(geometry["upsampling_ratios"][int(part[2])])
        rates = self._choices.at("code2wav.decoder").rates or geometry["upsample_rates"]
        return int(rates[int(part[2]) - 1]) if part[3:] == ["block", "1"] else 0

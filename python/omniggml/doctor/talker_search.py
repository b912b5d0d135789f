"""Looking for the mistake, or the two, with which talker and predictor would have said somebody's codes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from omniggml.doctor import thresholds as bounds
from omniggml.doctor.likelihood import expectation_of, of_codes
from omniggml.doctor.talker_grammar import SpeakerMistake, speaker_mistakes
from omniggml.doctor.talker_mirror import TalkerMirror
from omniggml.doctor.thresholds import MISFIT_EXPLAINED, SPOKEN_FOR
from omniggml.model import TalkerPrompt

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]

_LEAST = -30.0  # nats; one code must not outweigh all others


@dataclass(frozen=True)
class Said:
    """`mistakes`; with them a code gets `mean` nats, and is `misfit` nats less likely than the model expects; `sure`:
    of what the right model is surer than chance by, the share that the codes are likelier than chance, in the worst
    group. A mistake that makes the model unsure of everything explains nothing."""

    mistakes: tuple[SpeakerMistake, ...]
    mean: float
    misfit: float
    sure: float

    @property
    def explains(self) -> bool:
        """Whether these codes are what a model with the mistakes would say."""
        return not MISFIT_EXPLAINED.above(self.misfit) and SPOKEN_FOR.above(self.sure)


class TalkerSearch:
    """`size`: of the codebook. `of_predictor`: the talker's own codes are as it expects, so that only what comes after
    it is tried."""

    def __init__(
        self,
        mirror: TalkerMirror,
        prompt: TalkerPrompt,
        codes: IntArray,
        size: int,
        of_predictor: bool,
        announce: Callable[[str], None],
    ) -> None:
        self.mirror, self.prompt, self.codes, self.size, self.announce = mirror, prompt, codes, size, announce
        self.of_predictor = of_predictor

    def run(self) -> list[Said]:
        """The likeliest first."""
        every = (one for one in speaker_mistakes(self.mirror) if one.of_predictor or not self.of_predictor)
        mistakes = list(every)[: self._affordable()]
        self.announce(f"trying {len(mistakes)} changes of talker and predictor")
        singles = self._search((), mistakes)
        if not singles or any(said.explains for said in singles):
            return _explaining_first(singles)
        self.announce(f"with {singles[0].mistakes[0].clause}: looking for a second mistake")
        return _explaining_first([*singles, *self._search(singles[0].mistakes, mistakes)])

    def _affordable(self) -> int:
        layers = self.mirror.talker["num_hidden_layers"] * self.mirror.talker["hidden_size"] ** 2
        products = float(layers * bounds.SPEAKER_FRAMES * len(self.codes))
        return max(bounds.FEWEST_TRIALS, int(bounds.SPEAKER_BUDGET / products))

    def _search(self, base: tuple[SpeakerMistake, ...], mistakes: Iterable[SpeakerMistake]) -> list[Said]:
        with np.errstate(all="ignore"):
            return self._searched(base, mistakes)

    def _searched(self, base: tuple[SpeakerMistake, ...], mistakes: Iterable[SpeakerMistake]) -> list[Said]:
        mirror = self.mirror
        for mistake in base:
            mirror = mistake.made(mirror) or mirror
        few = self.codes[:, : bounds.SPEAKER_FRAMES]
        logits, states = mirror.states(self.prompt, few)
        plain = self._judged(mirror, few, logits, states)[0]
        found: list[tuple[float, SpeakerMistake]] = []
        for number, mistake in enumerate(mistakes):
            if number and number % bounds.WORDS_EVERY == 0:
                self.announce(f"tried {number} changes of talker and predictor")
            changed = mistake.made(mirror)
            if changed is None:
                continue
            own = (
                (logits, states)
                if mistake.of_predictor and not _of_state(mistake)
                else changed.states(self.prompt, few)
            )
            mean = self._judged(changed, few, *own)[0]
            if mean > plain + bounds.SPEAKER_GAIN.value:
                found.append((mean, mistake))
        found.sort(key=lambda entry: -entry[0])
        out = []
        for _, mistake in found[: bounds.LOOKED_AT_AGAIN]:
            changed = mistake.made(mirror)
            assert changed is not None
            mean, misfit, by_group = self._judged(changed, self.codes, *changed.states(self.prompt, self.codes))
            out.append(Said((*base, mistake), mean, misfit, float((by_group / self._surer).min())))
        return sorted(out, key=lambda said: -said.mean)

    def _judged(
        self, mirror: TalkerMirror, codes: IntArray, logits: FloatArray, states: FloatArray
    ) -> tuple[float, float, FloatArray]:
        """What a code gets, how much less than expected that is, and how much more than chance in each group."""
        rest = mirror.predicted(states, codes)
        every = [logits[:, : self.size], *(rest[:, group] for group in range(rest.shape[1]))]
        if not all(np.isfinite(part).all() for part in every):
            return -np.inf, np.inf, np.full(len(codes), -np.inf, np.float32)
        said = np.stack([of_codes(part, row) for part, row in zip(every, codes, strict=True)])
        expected = np.stack([expectation_of(part)[0] for part in every])
        said = np.maximum(said, _LEAST)
        return float(said.mean()), float((expected - said).mean()), said.mean(axis=1) + math.log(self.size)

    @cached_property
    def _surer(self) -> FloatArray:
        """By how much the right model is surer of what it says than chance, in each group."""
        logits, states = self.mirror.states(self.prompt, self.codes)
        rest = self.mirror.predicted(states, self.codes)
        every = [logits[:, : self.size], *(rest[:, group] for group in range(rest.shape[1]))]
        expected = np.stack([expectation_of(part)[0] for part in every]).mean(axis=1) + math.log(self.size)
        return np.asarray(np.maximum(expected, bounds.LEAST_SURE), np.float32)


def _explaining_first(found: list[Said]) -> list[Said]:
    return sorted(found, key=lambda said: (not said.explains, -said.mean))


def _of_state(mistake: SpeakerMistake) -> bool:
    """Whether what the predictor starts from is chosen otherwise."""
    return any(choices.state != "normed" for choices in mistake.choices.values())

"""Looking for the mistake, or the two, with which talker and predictor would have said somebody's codes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from omniggml.doctor import thresholds as bounds
from omniggml.doctor.drawing import LEAST, Drawn, Draws
from omniggml.doctor.likelihood import expectation_of, of_codes
from omniggml.doctor.talker_grammar import SpeakerMistake, speaker_mistakes
from omniggml.doctor.talker_mirror import PREDICTOR, TALKER, TalkerMirror
from omniggml.doctor.thresholds import DRAWN_FEW, DRAWN_GAIN, DRAWN_GAIN_FEW_BITS, DRAWN_LUCK, SPOKEN_FOR, Threshold
from omniggml.model import TalkerPrompt

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]

_TALKERS_OWN = 2  # groups: its own codes, and the first that is drawn from its state


@dataclass(frozen=True)
class Said:
    """`mistakes`; with them codes are `talker`'s and `predictor`'s draws, and all together get `gained` nats more than
    by any way of drawing them without. `sure`: of what the right model is surer than chance by, the share that the
    codes are likelier than chance, in the worst group. A mistake that makes the model unsure of everything explains
    nothing, however much likelier codes get. `asked`: by how many nats they must be likelier."""

    mistakes: tuple[SpeakerMistake, ...]
    talker: Drawn
    predictor: Drawn
    sure: float
    gained: float
    asked: Threshold = DRAWN_GAIN

    @property
    def mean(self) -> float:
        """What a code gets, in nats."""
        return (self.talker.total + self.predictor.total) / (self.talker.n + self.predictor.n)

    @property
    def explains(self) -> bool:
        """Whether these codes are what a model with the mistakes would say."""
        drawn = self.predictor.exact and self.talker.exact
        lucky = not any(DRAWN_LUCK.above(part.luck) for part in (self.talker, self.predictor))
        return drawn and lucky and self.asked.above(self.gained) and SPOKEN_FOR.above(self.sure)


class TalkerSearch:
    """`draws`: how the model's settings say that codes are drawn. `of_talker`: the model finds the talker's own codes
    unlikely, which nothing explains that comes after it; otherwise the predictor is looked at first. `pairs`: two
    mistakes are looked for where one doesn't explain them. `few_bits`: an engine of 4 bits may have said the codes."""

    def __init__(
        self,
        mirror: TalkerMirror,
        prompt: TalkerPrompt,
        codes: IntArray,
        draws: Draws,
        of_talker: bool,
        pairs: bool,
        announce: Callable[[str], None],
        few_bits: bool = False,
    ) -> None:
        self.asked = DRAWN_GAIN_FEW_BITS if few_bits else DRAWN_GAIN
        self.mirror, self.prompt, self.codes, self.draws, self.announce = mirror, prompt, codes, draws, announce
        self.of_talker, self.pairs = of_talker, pairs
        # A talker that is sure of its codes whatever it computes shows by all that follow them.
        self._telling = _TALKERS_OWN if of_talker else len(codes)

    def run(self) -> list[Said]:
        """The likeliest first."""
        every = list(speaker_mistakes(self.mirror))[: self._affordable()]
        singles: list[Said] = []
        for of_predictor in (False,) if self.of_talker else (True, False):
            mistakes = [one for one in every if one.of_predictor == of_predictor]
            self.announce(f"trying {len(mistakes)} changes of the {'predictor' if of_predictor else 'talker'}")
            singles += self._search((), mistakes)
            if any(said.explains for said in singles):
                break
        singles = _explaining_first(singles)
        if not singles or singles[0].explains or not self.pairs or not self.asked.above(singles[0].gained):
            return singles  # of two mistakes, one makes codes likelier, too
        self.announce(f"with {singles[0].mistakes[0].clause}: looking for a second mistake")
        seconds = every[: max(bounds.FEWEST_TRIALS, self._affordable() - len(every))]
        return _explaining_first([*singles, *self._search(singles[0].mistakes, seconds)])

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
        trials = _Trials(mirror, self.prompt, few, self.draws, self._telling)
        plain = {of_predictor: trials.plain(of_predictor) for of_predictor in (False, True)}
        nearer: list[tuple[float, SpeakerMistake]] = []
        explaining: Said | None = None
        for number, mistake in enumerate(mistakes):
            if number and number % bounds.WORDS_EVERY == 0:
                self.announce(f"tried {number} changes of talker and predictor")
            if explaining is not None and not _rivals(mistake, explaining.mistakes[-1]):
                continue
            fit = trials.fit(mistake)
            if fit is None or fit.mean <= plain[mistake.of_predictor].mean + bounds.SPEAKER_GAIN.value:
                continue
            nearer.append((fit.mean - plain[mistake.of_predictor].mean, mistake))
            if explaining is None and not DRAWN_FEW.above(fit.outside):
                said = self._said(mirror, base, mistake)
                explaining = said if said.explains else None
        nearer.sort(key=lambda entry: -entry[0])
        looked_at = [mistake for _, mistake in nearer[: bounds.LOOKED_AT_AGAIN]]
        if explaining is not None and explaining.mistakes[-1] not in looked_at:
            looked_at.append(explaining.mistakes[-1])
        return sorted((self._said(mirror, base, one) for one in looked_at), key=lambda said: -said.mean)

    def _said(self, mirror: TalkerMirror, base: tuple[SpeakerMistake, ...], mistake: SpeakerMistake) -> Said:
        """All codes, judged with one more mistake."""
        changed = mistake.made(mirror)
        assert changed is not None
        logits, rest = self._logits(changed)
        if not (np.isfinite(logits).all() and np.isfinite(rest).all()):
            nothing = Drawn(self.draws.predictor, self.codes.size, LEAST * self.codes.size, 1.0, -LEAST, 0.0, 0.0)
            return Said((*base, mistake), nothing, nothing, 0.0, -math.inf)
        talker, predictor = self.draws.judged(logits, rest, self.codes)
        gained = talker.total + predictor.total - self.without
        return Said((*base, mistake), talker, predictor, self._sureness(logits, rest), gained, self.asked)

    def _logits(self, mirror: TalkerMirror) -> tuple[FloatArray, FloatArray]:
        logits, states = mirror.states(self.prompt, self.codes)
        return logits, mirror.predicted(states, self.codes)

    @cached_property
    def without(self) -> float:
        """Nats that all codes get without a mistake, however they were drawn."""
        return sum(part.total for part in self.draws.judged(*self._right, self.codes))

    @cached_property
    def _right(self) -> tuple[FloatArray, FloatArray]:
        return self._logits(self.mirror)

    def _sureness(self, logits: FloatArray, rest: FloatArray) -> float:
        """See `Said`."""
        every = self.draws.every(logits, rest)
        said = np.array(
            [np.maximum(of_codes(part, row), LEAST).mean() for part, row in zip(every, self.codes, strict=True)]
        )
        return float(((said + math.log(self.draws.size)) / self._surer).min())

    @cached_property
    def _surer(self) -> FloatArray:
        """By how much the right model is surer of what it says than chance, in each group."""
        expected = [float(expectation_of(part)[0].mean()) for part in self.draws.every(*self._right)]
        surer = np.array(expected, np.float32) + math.log(self.draws.size)
        return np.asarray(np.maximum(surer, bounds.LEAST_SURE), np.float32)


@dataclass(frozen=True)
class _Fit:
    """What a code gets, and how many are never drawn."""

    mean: float
    outside: float


class _Trials:
    """Trials on one talker and predictor, which may have a mistake already. What enters each layer is kept, so that a
    trial begins where its mistake is. `telling`: the first groups, by which the talker's are judged."""

    def __init__(self, mirror: TalkerMirror, prompt: TalkerPrompt, codes: IntArray, draws: Draws, telling: int) -> None:
        self.mirror, self.prompt, self.codes, self.draws, self.telling = mirror, prompt, codes, draws, telling
        self._talker = mirror.entering(TALKER, mirror.talker_inputs(prompt, codes))
        self._logits, self._states = mirror.states(prompt, codes)
        self._frames = self._unlikely_frames()
        self._few = np.ascontiguousarray(codes[:, self._frames])
        inputs = mirror.predictor_inputs(self._states[self._frames], self._few)
        self._predictor = mirror.entering(PREDICTOR, inputs)

    def _unlikely_frames(self) -> IntArray:
        """Those in which the predictor is run, which knows nothing of other frames: where the codes fit least."""
        rest, frames = self.mirror.predicted(self._states, self.codes), range(self.codes.shape[1])
        fits = [self._of_predictor(rest[t : t + 1], self.codes[1:, t : t + 1]) for t in frames]
        means = [-math.inf if fit is None else fit.mean for fit in fits]
        return np.sort(np.argsort(means, kind="stable")[: bounds.TELLING_FRAMES]).astype(np.int32)

    def plain(self, of_predictor: bool) -> _Fit:
        """Without another mistake."""
        if of_predictor:
            rest = self.mirror.predicted(self._states[self._frames], self._few)
            fit = self._of_predictor(rest, self._few[1:])
        else:
            fit = self._of_talker(self.mirror, self._logits, self._states)
        return fit or _Fit(-math.inf, math.inf)

    def fit(self, mistake: SpeakerMistake) -> _Fit | None:
        """With one more; None where it changes nothing, or can't be computed with."""
        changed = mistake.made(self.mirror)
        if changed is None:
            return None
        if mistake.of_predictor:
            return self._of_predictor(self._predicted(mistake, changed), self._few[1:])
        first = _first_layer(mistake, TALKER, len(self._talker) - 1, changed)
        x = changed.talker_inputs(self.prompt, self.codes) if first < 0 else self._talker[first]
        return self._of_talker(changed, *changed.states_from(max(first, 0), x, self.codes.shape[1]))

    def _of_talker(self, mirror: TalkerMirror, logits: FloatArray, states: FloatArray) -> _Fit | None:
        some = self.codes[: self.telling, self._frames]
        rest = mirror.predicted(states[self._frames], some)
        if not (np.isfinite(logits).all() and np.isfinite(rest).all()):
            return None
        draws = self.draws
        own = draws.glance(draws.talker_rows(logits, self.codes[0], self._frames), draws.talker)
        after = draws.glance(draws.predictor_rows(rest, some[1:]), draws.predictor)
        return _Fit((own[0] + after[0]) / some.size, own[1] + after[1])

    def _of_predictor(self, rest: FloatArray, codes: IntArray) -> _Fit | None:
        """Logits [frames, groups - 1, codebook] of the predictor's codes [groups - 1, frames]."""
        if not np.isfinite(rest).all():
            return None
        total, outside = self.draws.glance(self.draws.predictor_rows(rest, codes), self.draws.predictor)
        return _Fit(total / codes.size, outside)

    def _predicted(self, mistake: SpeakerMistake, changed: TalkerMirror) -> FloatArray:
        if _of_state(mistake):
            frames, layers = self.codes.shape[1], len(self._talker) - 1
            states = changed.states_from(layers, self._talker[-1], frames)[1]
            return changed.predicted(states[self._frames], self._few)
        first = _first_layer(mistake, PREDICTOR, len(self._predictor) - 1, changed)
        x = changed.predictor_inputs(self._states[self._frames], self._few) if first < 0 else self._predictor[first]
        return changed.predicted_from(max(first, 0), x)


def _first_layer(mistake: SpeakerMistake, path: str, layers: int, changed: TalkerMirror) -> int:
    """The first layer of a stack that a mistake concerns: `layers` for what comes after all, -1 for what comes before,
    or for layers that are computed in another order."""
    if changed.at(f"{path}.model").layers:
        return -1
    first = layers
    for module in mistake.paths():
        if found := re.fullmatch(rf"{re.escape(path)}\.model\.layers\.(\d+)\..*", f"{module}."):
            first = min(first, int(found[1]))
        elif not re.match(rf"{re.escape(path)}\.(model\.norm|codec_head|lm_head\.)", module):
            return -1
    return first


def _rivals(one: SpeakerMistake, other: SpeakerMistake) -> bool:
    """Whether one may explain what the other does: of one kind, or in one module."""
    return one.kind == other.kind or bool(set(one.paths()) & set(other.paths()))


def _explaining_first(found: list[Said]) -> list[Said]:
    return sorted(found, key=lambda said: (not said.explains, -said.mean))


def _of_state(mistake: SpeakerMistake) -> bool:
    """Whether what the predictor starts from is chosen otherwise."""
    return any(choices.state != "normed" for choices in mistake.choices.values())

"""Looking for the mistake, or the two, with which talker and predictor would have said somebody's codes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from omniggml.doctor import thresholds as bounds
from omniggml.doctor.drawing import LEAST, Drawn, Draws, Glance
from omniggml.doctor.likelihood import expectation_of, of_codes
from omniggml.doctor.progress import Progress
from omniggml.doctor.talker_grammar import SpeakerMistake, speaker_mistakes
from omniggml.doctor.talker_mirror import PREDICTOR, TALKER, TalkerMirror
from omniggml.doctor.tensor_mistakes import class_of
from omniggml.doctor.thresholds import DRAWN_GAIN, DRAWN_GAIN_FEW_BITS, DRAWN_LUCK, SPOKEN_FOR, Threshold
from omniggml.model import TalkerPrompt

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]

_TALKERS_OWN = 2  # groups: its own codes, and the first that is drawn from its state


@dataclass(frozen=True)
class Said:
    """`mistakes`; with them codes are `talker`'s and `predictor`'s draws, and all together get `gained` nats more than
    by any way of drawing them without, and `over_noise` more than where noise made a share of them: a mistake that
    leaves the model unsure lets them be nearly whatever something else makes. `sure`: of what the right model is surer
    than chance by, the share that the codes are likelier than chance, in the worst group. A mistake that makes the
    model unsure of everything explains nothing, however much likelier codes get. `asked`: by how many nats they must be
    likelier."""

    mistakes: tuple[SpeakerMistake, ...]
    talker: Drawn
    predictor: Drawn
    sure: float
    gained: float
    over_noise: float
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
        clear = self.asked.above(self.gained) and DRAWN_GAIN.above(self.over_noise)
        return drawn and lucky and clear and SPOKEN_FOR.above(self.sure)


class TalkerSearch:
    """`draws`: how the model's settings say that codes are drawn. `of_talker`: the model finds the talker's own codes
    unlikely, which nothing explains that comes after it; otherwise the predictor is looked at first. `late`: codes
    fit for long, and then not at all, which few mistakes make. `pairs`: two mistakes are looked for where one doesn't
    explain them. `few_bits`: an engine of 4 bits may have said the codes."""

    def __init__(
        self,
        mirror: TalkerMirror,
        prompt: TalkerPrompt,
        codes: IntArray,
        draws: Draws,
        of_talker: bool,
        pairs: bool,
        announce: Callable[[str], None],
        *,
        late: bool = False,
        few_bits: bool = False,
    ) -> None:
        self.asked = DRAWN_GAIN_FEW_BITS if few_bits else DRAWN_GAIN
        self.mirror, self.prompt, self.codes, self.draws = mirror, prompt, codes, draws
        self.progress = Progress(announce)
        self.of_talker, self.pairs, self.late = of_talker, pairs, late
        # A talker that is sure of its codes whatever it computes shows by all that follow them.
        self._telling = _TALKERS_OWN if of_talker else len(codes)

    def run(self) -> list[Said]:
        """The likeliest first."""
        every = [one for one in speaker_mistakes(self.mirror) if one.may_begin_late or not self.late]
        every = every[: self._affordable()]
        singles: list[Said] = []
        for of_predictor in (False,) if self.of_talker or self.late else (True, False):
            mistakes = [one for one in every if one.of_predictor == of_predictor]
            self.progress.begins(f"trying {len(mistakes)} changes of the {'predictor' if of_predictor else 'talker'}")
            singles += self._search((), mistakes)
            if any(said.explains for said in singles):
                break
        singles = _explaining_first(_standing_out(singles))
        if not singles or singles[0].explains or not self.pairs or not self.asked.above(singles[0].gained):
            return singles  # of two mistakes, one makes codes likelier, too
        self.progress.begins(f"looking for a second mistake beside this: {singles[0].mistakes[0].clause}")
        seconds = every[: max(bounds.FEWEST_TRIALS, self._affordable() - len(every))]
        return _explaining_first([*singles, *self._search(singles[0].mistakes, seconds)])

    def _affordable(self) -> int:
        layers = self.mirror.talker["num_hidden_layers"] * self.mirror.talker["hidden_size"] ** 2
        products = float(layers * bounds.SPEAKER_FRAMES * len(self.codes))
        return max(bounds.FEWEST_TRIALS, int(bounds.SPEAKER_BUDGET / products))

    def _search(self, base: tuple[SpeakerMistake, ...], mistakes: Sequence[SpeakerMistake]) -> list[Said]:
        with np.errstate(all="ignore"):
            return self._searched(base, mistakes)

    def _searched(self, base: tuple[SpeakerMistake, ...], mistakes: Sequence[SpeakerMistake]) -> list[Said]:
        mirror = self.mirror
        for mistake in base:
            mirror = mistake.made(mirror) or mirror
        trials = _Trials(mirror, self.prompt, self.codes, self.draws, self._telling)
        nearer: list[tuple[float, SpeakerMistake]] = []
        faint: list[tuple[float, SpeakerMistake]] = []
        explaining: list[Said] = []
        others: list[Said] = []
        for mistake in self.progress.through(mistakes, len(mistakes), "trying changes"):
            clear = [said for said in explaining if said.gained > bounds.CLEAR_NATS]
            if clear and not any(_rivals(mistake, said.mistakes[-1]) for said in clear):
                continue
            found = trials.gained(mistake)
            if found is None or not bounds.SPEAKER_GAIN.above(found.mean):
                if found is not None and found.possible and found.mean > 0:
                    faint.append((found.mean, mistake))
                continue
            said = self._said(mirror, base, mistake) if found.possible else None
            if said is None:
                nearer.append((found.mean, mistake))
            else:
                (explaining if said.explains else others).append(said)
        if not explaining:
            explaining = [said for said in self._faint(mirror, base, faint) if said.explains]
        every = explaining or [*others, *self._nearest(mirror, base, trials, nearer)]
        return sorted(every, key=lambda one: -one.mean)

    def _faint(
        self, mirror: TalkerMirror, base: tuple[SpeakerMistake, ...], faint: list[tuple[float, SpeakerMistake]]
    ) -> list[Said]:
        """What made few codes a little likelier, judged on all: small mistakes add up over a speech."""
        best = sorted(faint, key=lambda entry: -entry[0])[: bounds.FAINT_AGAIN]
        judged = self.progress.through(best, len(best), "judging all codes")
        return [self._said(mirror, base, mistake) for _, mistake in judged]

    def _nearest(
        self,
        mirror: TalkerMirror,
        base: tuple[SpeakerMistake, ...],
        trials: _Trials,
        nearer: list[tuple[float, SpeakerMistake]],
    ) -> list[Said]:
        """Where none explains codes as they are usually drawn: those that come nearest, however they were drawn."""
        nearer.sort(key=lambda entry: -entry[0])
        again = []
        few = nearer[: bounds.SPEAKERS_AGAIN]
        for _, mistake in self.progress.through(few, len(few), "looking again at those that came nearest"):
            found = trials.gained(mistake, whole=True)
            again.append((-math.inf if found is None else found.mean, mistake))
        again.sort(key=lambda entry: -entry[0])
        best = again[: bounds.BASES]
        judged = self.progress.through(best, len(best), "judging all codes")
        return [self._said(mirror, base, mistake) for _, mistake in judged]

    def _said(self, mirror: TalkerMirror, base: tuple[SpeakerMistake, ...], mistake: SpeakerMistake) -> Said:
        """All codes, judged with one more mistake."""
        changed = mistake.made(mirror)
        assert changed is not None
        logits, rest = self._logits(changed)
        if not (np.isfinite(logits).all() and np.isfinite(rest).all()):
            nothing = Drawn(self.draws.predictor, self.codes.size, LEAST * self.codes.size, 1.0, -LEAST, 0.0, 0.0)
            return Said((*base, mistake), nothing, nothing, 0.0, -math.inf, -math.inf)
        talker, predictor = self._judged(logits, rest)
        total, sure = talker.total + predictor.total, self._sureness(logits, rest)
        gained, over_noise = total - self.without, total - self.with_noise
        return Said((*base, mistake), talker, predictor, sure, gained, over_noise, self.asked)

    def _judged(self, logits: FloatArray, rest: FloatArray) -> tuple[Drawn, Drawn]:
        """As the likeliest way of drawing has it; that is the usual one, where these may be drawn so."""
        usual = self.draws.usual(logits, rest, self.codes)
        fits = all(part.exact and part.alike for part in usual)
        return usual if fits else self.draws.judged(logits, rest, self.codes)

    def _logits(self, mirror: TalkerMirror) -> tuple[FloatArray, FloatArray]:
        logits, states = mirror.states(self.prompt, self.codes)
        return logits, mirror.predicted(states, self.codes)

    @cached_property
    def without(self) -> float:
        """Nats that all codes get without a mistake, however they were drawn."""
        return sum(part.total for part in self.draws.judged(*self._right, self.codes))

    @cached_property
    def with_noise(self) -> float:
        """Nats that they get where noise made some of them."""
        return self.draws.nats_with_noise(*self._right, self.codes)

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


class _Trials:
    """Trials on one talker and predictor, which may have a mistake already. What enters each layer is kept, so that a
    trial begins where its mistake is. A talker's is made on few frames first, and on all up to those that tell only
    where these may be the mistake's. `telling`: the first groups, by which the talker's are judged."""

    def __init__(self, mirror: TalkerMirror, prompt: TalkerPrompt, codes: IntArray, draws: Draws, telling: int) -> None:
        self.mirror, self.prompt, self.draws, self.telling = mirror, prompt, draws, telling
        logits, states = mirror.states(prompt, codes)
        rest = mirror.predicted(states, codes)
        lacks = self._lacks(logits, rest, codes)
        n = _frames_that_tell(lacks, bounds.TELLING_NATS, bounds.FEWEST_FRAMES)
        self._looks = sorted({min(n, _frames_that_tell(lacks, bounds.FIRST_NATS, bounds.FIRST_FRAMES)), n})
        self.codes = np.ascontiguousarray(codes[:, :n])
        self._logits, self._states = logits[:n], states[:n]
        self._talker = mirror.entering(TALKER, mirror.talker_inputs(prompt, self.codes), n)
        self._frames = self._unlikely_frames(rest[:n])
        self._few = np.ascontiguousarray(self.codes[:, self._frames])
        inputs = mirror.predictor_inputs(self._states[self._frames], self._few)
        self._predictor = mirror.entering(PREDICTOR, inputs, len(self._few))
        self._plain = {n: self._of_talker(mirror, logits[:n], states[:n]) for n in self._looks}
        self._plain[0] = self._of_predictor(rest[self._frames], self._few[1:])

    def _lacks(self, logits: FloatArray, rest: FloatArray, codes: IntArray) -> FloatArray:
        """By how many nats each frame is less likely than expected; all that counts where it can't be computed."""
        draws, every = self.draws, np.arange(codes.shape[1])
        if not (np.isfinite(logits).all() and np.isfinite(rest).all()):
            return np.full(len(every), bounds.TELLING_NATS, np.float32)
        lacks = draws.lacks(draws.talker_rows(logits, codes[0], every), draws.talker)
        after = draws.lacks(draws.predictor_rows(rest, codes[1:]), draws.predictor).reshape(len(every), -1)
        return np.asarray(lacks + after[:, : self.telling - 1].sum(axis=1), np.float32)

    def _unlikely_frames(self, rest: FloatArray) -> IntArray:
        """Those in which the predictor is run, which knows nothing of other frames: where the codes fit least."""
        fits = [self._of_predictor(rest[t : t + 1], self.codes[1:, t : t + 1]) for t in range(len(rest))]
        means = [-math.inf if fit is None else fit.mean for fit in fits]
        return np.sort(np.argsort(means, kind="stable")[: bounds.TELLING_FRAMES]).astype(np.int32)

    def gained(self, mistake: SpeakerMistake, whole: bool = False) -> Glance | None:
        """How much likelier it makes codes, and whether they may be those of a model with it; None where it changes
        nothing, or can't be computed with. `whole`: of all frames that tell, whatever the first ones say."""
        changed = mistake.made(self.mirror)
        if changed is None:
            return None
        if mistake.of_predictor:
            return _over(self._of_predictor(self._predicted(mistake, changed), self._few[1:]), self._plain[0])
        first, found = _first_layer(mistake, TALKER, len(self._talker) - 1, changed), None
        for n in self._looks[-1:] if whole else self._looks:
            if first < 0:
                x = changed.talker_inputs(self.prompt, self.codes[:, :n])
            else:
                x = self._talker[first][:, : self._talker[first].shape[1] - self.codes.shape[1] + n]
            found = _over(self._of_talker(changed, *changed.states_from(max(first, 0), x, n)), self._plain[n])
            if found is None or not found.possible:
                break
        return found

    def _of_talker(self, mirror: TalkerMirror, logits: FloatArray, states: FloatArray) -> Glance | None:
        n, draws = len(logits), self.draws
        every = self.telling == _TALKERS_OWN or n <= bounds.TELLING_FRAMES
        frames = np.arange(n, dtype=np.int32) if every else self._frames[self._frames < n]
        some = self.codes[: self.telling, frames]
        rest = mirror.predicted(states[frames], some)
        if not (np.isfinite(logits).all() and np.isfinite(rest).all()):
            return None
        own = draws.glance(draws.talker_rows(logits, self.codes[0, :n], np.arange(n)), draws.talker)
        return own + draws.glance(draws.predictor_rows(rest, some[1:]), draws.predictor)

    def _of_predictor(self, rest: FloatArray, codes: IntArray) -> Glance | None:
        """Logits [frames, groups - 1, codebook] of the predictor's codes [groups - 1, frames]."""
        if not np.isfinite(rest).all():
            return None
        return self.draws.glance(self.draws.predictor_rows(rest, codes), self.draws.predictor)

    def _predicted(self, mistake: SpeakerMistake, changed: TalkerMirror) -> FloatArray:
        if _of_state(mistake):
            frames, layers = self.codes.shape[1], len(self._talker) - 1
            states = changed.states_from(layers, self._talker[-1], frames)[1]
            return changed.predicted(states[self._frames], self._few)
        first = _first_layer(mistake, PREDICTOR, len(self._predictor) - 1, changed)
        x = changed.predictor_inputs(self._states[self._frames], self._few) if first < 0 else self._predictor[first]
        return changed.predicted_from(max(first, 0), x)


def _frames_that_tell(lacks: FloatArray, nats: float, fewest: int) -> int:
    """How many from the first on are less likely than expected by so much, together."""
    enough = np.flatnonzero(np.cumsum(np.maximum(lacks, 0)) >= nats)
    return min(len(lacks), max(fewest, int(enough[0]) + 1)) if len(enough) else len(lacks)


def _over(found: Glance | None, plain: Glance | None) -> Glance | None:
    """What it gains over the plain one, which gets nothing where it can't be computed."""
    if found is None:
        return None
    return replace(found, total=found.total - (LEAST * found.n if plain is None else plain.total))


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
    """Whether one may explain what the other does clearly: in the same block, or one of its class, as the norms of q
    and k."""
    mine, theirs = ({class_of(path).rpartition(".")[0] for path in mistake.paths()} for mistake in (one, other))
    return bool(mine & theirs)


def _standing_out(found: list[Said]) -> list[Said]:
    """Mistakes of many kinds make the codes of an engine of few bits a little likelier. One that does so far more than
    any elsewhere is asked for no more than of other engines."""
    best = max(found, key=lambda said: said.gained, default=None)
    if best is None or best.explains:
        return found
    others = [0.0, *(said.gained for said in found if not _rivals(said.mistakes[-1], best.mistakes[-1]))]
    if not bounds.DRAWN_STANDS_OUT.above(best.gained - max(others)):
        return found
    return [replace(said, asked=DRAWN_GAIN) if said is best else said for said in found]


def _explaining_first(found: list[Said]) -> list[Said]:
    return sorted(found, key=lambda said: (not said.explains, -said.mean))


def _of_state(mistake: SpeakerMistake) -> bool:
    """Whether what the predictor starts from is chosen otherwise."""
    return any(choices.state != "normed" for choices in mistake.choices.values())

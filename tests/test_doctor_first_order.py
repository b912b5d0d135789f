"""Two of thousands that together make what is observed, found from sums alone."""

from __future__ import annotations

import math

import numpy as np

from omniggml.doctor.first_order import likely_pairs
from omniggml.doctor.port_trials import Trials
from omniggml.doctor.vocoder_grammar import port_mistakes
from omniggml.doctor.vocoder_mirror import Scoped
from voice_vocoder import voice_codes, voice_mirror

SUMS = np.random.default_rng(0).standard_normal((3000, 64)).astype(np.float32)


def test_the_pair_comes_first() -> None:
    assert likely_pairs(1.3 * (SUMS[2500] + SUMS[17]), SUMS, 20)[0] == (17, 2500)


def test_chance_makes_no_pair() -> None:
    assert likely_pairs(np.random.default_rng(1).standard_normal(64).astype(np.float32), SUMS[:40], 20) == []


def test_none_is_a_pair_with_itself_or_told_twice() -> None:
    pairs = likely_pairs(2 * SUMS[5], SUMS, 50)
    assert len({frozenset(pair) for pair in pairs}) == len(pairs) and all(one < other for one, other in pairs)


def test_what_is_weighed_is_what_a_trial_makes() -> None:
    """Of small changes, at a place far enough behind the first frame that not all before it is seen."""
    mirror, codes = voice_mirror(), voice_codes()
    theirs = mirror(codes).astype(np.float64)
    per_frame = len(theirs) // codes.shape[1]
    theirs[: 18 * per_frame] *= 1e-3
    theirs[18 * per_frame :] *= np.linspace(1, 3, len(theirs) - 18 * per_frame)
    trials = Trials(mirror, Scoped(()), codes, theirs, per_frame, codes.shape[1], 1e-6, weigh=True)
    mistakes = [mistake for mistake in port_mistakes(mirror) if mistake.codes is None][::9]
    trials.likeliest_first(mistakes, math.inf)
    weighed, cosines, stages = dict(trials.sums), [], set()
    assert trials.first_order is not None
    for mistake in mistakes:
        told = weighed.get(id(mistake))
        if told is None or not 1e-6 < trials.first_order.share(told) < 1e-3:
            continue
        trials.glimpsed(mistake)
        made = trials.sums[id(mistake)]
        cosines.append(float(told @ made) / float(np.linalg.norm(told) * np.linalg.norm(made)))
        stages |= {mirror.stage_of(path) for path in mistake.paths()}
    assert len(stages) > 15 and min(stages) <= 3 and np.quantile(cosines, 0.1) > 0.95


def test_of_what_is_hardly_alike_the_levels_tell_how_much_louder_it_is() -> None:
    """Else what it differs by would be far more than all samples, beside which no mistake is seen."""
    mirror, codes = voice_mirror(), voice_codes()
    ours = mirror(codes).astype(np.float64)
    theirs = 0.5 * ours.std() * np.random.default_rng(0).standard_normal(len(ours))
    trials = Trials(mirror, Scoped(()), codes, theirs, len(ours) // codes.shape[1], codes.shape[1], 1e-6, weigh=True)
    assert trials.first_order is not None
    start, stop = trials._places.spans[0]
    power = float(np.square(ours[start:stop]).sum())
    assert 0.3 * power < float(np.square(trials.first_order.observed).sum()) < 10 * power

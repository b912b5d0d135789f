"""Recordings as people make them: the microphone is open before the question, after it and while the speaker thinks,
and everybody talks at a pace of their own. Made anew from recordings that are there, on their features, each time that
they are learned from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from omniggml.synthetic.small_tokenizer import byte_letters

from .geometry import EAR
from .spoken import FILLER, LONGEST, ROWS_A_SECOND, Clip, rows_of
from .talker import NOTHING
from .tokenizer import voice_tokenizer

Floats = npt.NDArray[np.float32]

FRAMES_A_SECOND = 100
MOST_FRAMES = int(LONGEST * FRAMES_A_SECOND)
SILENCE = -1.5
"""What features of digital silence are: log10 of 1e-10, over 4, plus one."""
RANGE = 2.0
"""Features are at most so far below the loudest: eight powers of ten, over 4."""
PORTION = 1_000
"""Clips that are made anew together, and then put into batches by their lengths."""

_NEPERS = 4 * float(np.log(10))
_FRAMES_A_ROW = FRAMES_A_SECOND / ROWS_A_SECOND


def opened(clips: Sequence[Clip], rng: np.random.Generator) -> Iterator[list[Clip]]:
    """All clips in any order, made anew, in portions."""
    empty = [clip for clip in clips if not clip.said.text]
    questions = [clip for clip in clips if clip.said.text and clip.said.answer]
    order = rng.permutation(len(clips))
    for start in range(0, len(order), PORTION):
        chosen = [clips[index] for index in order[start : start + PORTION]]
        yield [_asked(clip, questions, empty, rng) if clip.said.text else _nothing(clip, rng) for clip in chosen]


def _asked(clip: Clip, questions: Sequence[Clip], empty: Sequence[Clip], rng: np.random.Generator) -> Clip:
    """One in five as it is, and at most half a minute of it."""
    if rng.random() < 0.2:
        return clip
    if clip.said.answer and rng.random() < 0.04:
        clip = following(questions[int(rng.integers(len(questions)))], clip, int(rng.integers(0, 20)), rng)
    made = paced(clip, float(rng.uniform(0.75, 1.15))) if rng.random() < 0.4 else clip
    made = paused(made, int(rng.integers(2, 20)), rng) if rng.random() < 0.25 else made
    before, after = _rows_around(rng), _rows_around(rng)
    if before + after:
        made = surrounded(made, before, after, bed(made, empty, rng), rng)
    return made if made.features.shape[1] <= MOST_FRAMES else clip


def _rows_around(rng: np.random.Generator) -> int:
    """None, as a rule up to four seconds, now and then more."""
    kind = rng.random()
    if kind < 0.25:
        return 0
    low, high = (0.2, 4.0) if kind < 0.93 else (4.0, 12.0)
    return round(float(np.exp(rng.uniform(np.log(low), np.log(high)))) * ROWS_A_SECOND)


def _nothing(clip: Clip, rng: np.random.Generator) -> Clip:
    """A piece of it as often as all, down to what a click of the button takes."""
    frames = clip.features.shape[1]
    if rng.random() < 0.5 or frames < 30:
        return clip
    count = int(np.exp(rng.uniform(np.log(25), np.log(frames))))
    begin = int(rng.integers(frames - count + 1))
    rows = rows_of(count)
    return replace(
        clip, features=clip.features[:, begin : begin + count], tokens=clip.tokens[:rows], phones=clip.phones[:rows]
    )


def paced(clip: Clip, times: float) -> Clip:
    """It takes so many times as long, at the same pitch; every token as soon as its word begins and the one before is
    written. As it is where there is no room for its tokens."""
    frames = clip.features.shape[1]
    count = max(2, round(frames * times))
    at = np.linspace(0, frames - 1, count, dtype=np.float32)
    low = np.minimum(at.astype(int), frames - 2)
    x = clip.features.astype(np.float32)
    features = x[:, low] + (x[:, low + 1] - x[:, low]) * (at - low)
    rows = rows_of(count)
    source = np.minimum((np.arange(rows) / times).astype(int), len(clip.phones) - 1)
    tokens, free = np.full(rows, FILLER if clip.tokens[0] != NOTHING else NOTHING, np.int16), 0
    for row in np.flatnonzero((clip.tokens != FILLER) & (clip.tokens != NOTHING)):
        if not free or int(clip.tokens[row]) in _BEGINNINGS:
            free = max(free, int(row * times))
        if free >= rows:
            return clip
        tokens[free] = clip.tokens[row]
        free += 1
    return Clip(clip.said, features.astype(np.float16), tokens, clip.phones[source])


def paused(clip: Clip, rows: int, rng: np.random.Generator) -> Clip:
    """With so many rows of the clip's own quiet before one of its words. As it is where no word has a row of nothing
    before it."""
    starts = [row for row in range(1, len(clip.tokens)) if _begins_word(clip.tokens, row)]
    if not starts:
        return clip
    at, frames = int(rng.choice(starts)), round(rows * _FRAMES_A_ROW)
    cut = round(at * _FRAMES_A_ROW)
    quiet = _own_quiet(clip, frames, rng).astype(np.float16)
    features = np.concatenate([clip.features[:, :cut], quiet, clip.features[:, cut:]], axis=1)
    count = rows_of(features.shape[1])
    tokens = _laid(np.insert(clip.tokens, at, np.full(rows, FILLER)), 0, count, FILLER)
    return Clip(clip.said, features, tokens, _laid(np.insert(clip.phones, at, np.zeros(rows)), 0, count, 0))


_SPACE = byte_letters()[ord(" ")]
_BEGINNINGS = frozenset(number for number, token in enumerate(voice_tokenizer().vocabulary) if token.startswith(_SPACE))


def _begins_word(tokens: np.ndarray, row: int) -> bool:
    """And the word before is written."""
    return int(tokens[row]) in _BEGINNINGS and tokens[row - 1] == FILLER


def surrounded(clip: Clip, before: int, after: int, around: Floats | None, rng: np.random.Generator) -> Clip:
    """With so many rows before and after it, of what is heard `around` all the time, [mels, any number of frames], or
    of its own quiet."""
    frames, begin = clip.features.shape[1], round(before * _FRAMES_A_ROW)
    total = begin + frames + round(after * _FRAMES_A_ROW)
    question = slice(begin, begin + frames)
    x = clip.features.astype(np.float32)
    if around is None:
        made = _own_quiet(clip, total, rng)
        made[:, question] = x
    else:
        made = _repeated(around, total, int(rng.integers(around.shape[1])))
        made[:, question] = np.logaddexp(x * _NEPERS, made[:, question] * _NEPERS) / _NEPERS
    made = np.maximum(made, max(SILENCE, float(made.max()) - RANGE))
    rows = rows_of(total)
    filler, quiet = (NOTHING, NOTHING) if clip.tokens[0] == NOTHING else (FILLER, 0)
    return Clip(
        clip.said,
        made.astype(np.float16),
        _laid(clip.tokens, before, rows, filler),
        _laid(clip.phones, before, rows, quiet),
    )


def following(first: Clip, clip: Clip, rows: int, rng: np.random.Generator) -> Clip:
    """After a first question and so many rows of quiet. The last question is the one that is answered."""
    made = surrounded(clip, len(first.phones) + 1 + rows, 0, None, rng)
    made.features[:, : first.features.shape[1]] = first.features
    made.tokens[: len(first.tokens)] = first.tokens
    made.phones[: len(first.phones)] = first.phones
    return made


def bed(clip: Clip, empty: Sequence[Clip], rng: np.random.Generator) -> Floats | None:
    """What is heard all the time: digital silence, what somebody else recorded of nothing, 15 to 65 decibels below the
    loudest of the clip, or, None, its own quiet."""
    kind = rng.random()
    if kind < 0.35:
        return None
    if kind < 0.55 or not empty:
        return np.full((EAR.num_mel_bins, 1), SILENCE - RANGE, np.float32)
    other = empty[int(rng.integers(len(empty)))].features.astype(np.float32)
    below = float(rng.uniform(0.375, 1.625))
    return np.asarray(other + (float(clip.features.max()) - below - float(other.max())), np.float32)


def _own_quiet(clip: Clip, frames: int, rng: np.random.Generator) -> Floats:
    """So many of the tenth of its frames that is quietest."""
    loudness = clip.features.mean(0, dtype=np.float32)
    quietest = np.argsort(loudness)[: max(4, len(loudness) // 10)]
    return np.asarray(clip.features[:, rng.choice(quietest, frames)], np.float32)


def _repeated(around: Floats, frames: int, begin: int) -> Floats:
    """There and back again, so that it has no seam."""
    there_and_back = np.concatenate([around, around[:, ::-1]], axis=1)
    return there_and_back[:, (begin + np.arange(frames)) % there_and_back.shape[1]]


def _laid(values: np.ndarray, before: int, count: int, otherwise: int) -> np.ndarray:
    made = np.full(count, otherwise, values.dtype)
    kept = values[: max(0, count - before)]
    made[before : before + len(kept)] = kept
    return made

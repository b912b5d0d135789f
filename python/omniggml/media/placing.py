"""A conversation with what is heard and seen in the places of its placeholders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from omniggml import _native
from omniggml.errors import ContextLengthError, InputError, ModelFileError
from omniggml.media.hearing import AUDIO_PAD, Room, encode_audio
from omniggml.media.image_input import Patches
from omniggml.media.late_encoders import LateEncoders
from omniggml.media.parts import HeardPart, Part, SeenPart, WatchedPart
from omniggml.media.positions import Positions
from omniggml.media.seeing import IMAGE_PAD, VIDEO_PAD, Eyes, Watched
from omniggml.media.video_input import has_sound
from omniggml.tokenizer import Tokenizer
from omniggml.warning import warn

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]

_NOUNS: dict[type, tuple[str, str]] = {
    HeardPart: ("audio", AUDIO_PAD),
    SeenPart: ("image", IMAGE_PAD),
    WatchedPart: ("video", VIDEO_PAD),
}
_AUDIO_START, _AUDIO_END = "<|audio_start|>", "<|audio_end|>"
"""Marks around the sound of a video, within those of the video."""


@dataclass(frozen=True)
class Placed:
    """A conversation's `tokens`, every placeholder as often as there are rows for it, the `media` in their places, None
    where there are none, and where tokens stand in time, height and width, int32 [3, tokens], None where that is one
    after the other."""

    tokens: list[int]
    media: _native.ThinkerMedia | None = None
    positions: IntArray | None = None


def placed(
    tokens: Sequence[int],
    tokenizer: Tokenizer,
    parts: Sequence[Part],
    encoders: LateEncoders,
    n_threads: int,
    context: int,
) -> Placed:
    """The conversation with its media. Raises ModelFileError where the chat template didn't make a place for each of
    them, InputError for what can't be read, or more than the context holds."""
    placing = _Placing(tokenizer, parts, encoders, n_threads, context)
    placing.check_places(tokens)
    for token in tokens:
        placing.add(token)
    return placing.result()


class _Placing:
    def __init__(
        self, tokenizer: Tokenizer, parts: Sequence[Part], encoders: LateEncoders, n_threads: int, context: int
    ) -> None:
        self._encoders, self._n_threads, self._context = encoders, n_threads, context
        self._parts, self._tokenizer = parts, tokenizer
        self._counts = Counter(type(part) for part in parts)
        self._pads = {kind: self._id(_NOUNS[kind][1]) for kind in self._counts}
        self._waiting = iter(parts)
        self._numbers: Counter[type] = Counter()
        self._tokens: list[int] = []
        self._positions = Positions()
        self._at: list[int] = []
        self._rows: list[FloatArray] = []
        self._deepstack: list[tuple[FloatArray, ...]] = []

    def _id(self, token: str) -> int:
        found = self._tokenizer.token_id(token)
        if found is None:
            raise InputError(f"the model has no token {token}; it is not one that hears and sees")
        return found

    @cached_property
    def _eyes(self) -> Eyes:
        return Eyes(self._encoders, self._n_threads)

    def check_places(self, tokens: Sequence[int]) -> None:
        """One for each part, and in their order."""
        kind_of = {pad: kind for kind, pad in self._pads.items()}
        if (found := [kind_of[token] for token in tokens if token in kind_of]) != [type(part) for part in self._parts]:
            raise ModelFileError(
                f"the chat template made {len(found)} places for {len(self._parts)} parts of "
                f"{' and '.join(_NOUNS[kind][0] for kind in self._counts)}, or in another order; it is not of a model "
                "that hears and sees"
            )

    def add(self, token: int) -> None:
        """A token of text, or what stands in the place of one."""
        if token not in self._pads.values():
            self._tokens.append(token)
            self._positions.text(1)
            return
        part = next(self._waiting)
        what = self._name(part)
        if isinstance(part, HeardPart):
            self._hear(encode_audio(self._encoders, part, self._n_threads, what, self._room(0)))
        elif isinstance(part, SeenPart):
            self._see(part, what)
        else:
            self._watch(part, what)

    def _name(self, part: Part) -> str:
        kind = type(part)
        self._numbers[kind] += 1
        noun = _NOUNS[kind][0]
        return f"the {noun}" if self._counts[kind] == 1 else f"{noun} {self._numbers[kind]}"

    def _hear(self, rows: FloatArray) -> None:
        self._take(self._pads[HeardPart], rows, ())
        self._positions.text(len(rows))

    def _see(self, part: SeenPart, what: str) -> None:
        patches = self._eyes.image_patches(part, what)
        rows, columns = self._eyes.tokens(patches)
        self._check_room(rows * columns, what)
        seen = self._eyes.see(patches)
        self._take(self._pads[SeenPart], seen.rows, seen.deepstack)
        self._positions.grid(1, rows, columns, 0)

    def _watch(self, part: WatchedPart, what: str) -> None:
        frames, rate = self._eyes.frames(part, what)
        seen = self._eyes.watch(self._with_room(frames.pairs(), what), rate.step)
        if not self._is_heard(part, what):
            self._take(self._pads[WatchedPart], seen.rows, seen.deepstack)
            self._positions.grid(seen.pairs, *seen.grid, seen.step)
            return
        room = self._room(len(seen.rows) + 2)
        sound = encode_audio(
            self._encoders, HeardPart(part.video), self._n_threads, f"the sound of {what}", room, timed=True
        )
        self._interleave(seen, sound)

    def _is_heard(self, part: WatchedPart, what: str) -> bool:
        if part.sound is False or not has_sound(part.video):
            if part.sound:
                raise InputError(f"{what} has no sound to be heard")
            return False
        if not self._encoders.hears and part.sound is None:
            warn(f"{what} has a sound, which is not heard: {self._encoders.path} holds no audio encoder")
        return self._encoders.hears or bool(part.sound)

    def _interleave(self, seen: Watched, sound: FloatArray) -> None:
        self._mark(_AUDIO_START)
        is_audio = self._positions.grid_with_audio(seen.pairs, *seen.grid, seen.step, len(sound))
        rows = np.empty((len(is_audio), sound.shape[1]), np.float32)
        rows[is_audio], rows[~is_audio] = sound, seen.rows
        levels = []
        for level in seen.deepstack:
            levels.append(np.zeros_like(rows))
            levels[-1][~is_audio] = level
        pads = np.where(is_audio, self._id(AUDIO_PAD), self._pads[WatchedPart]).tolist()
        self._take(pads, rows, tuple(levels))
        self._mark(_AUDIO_END)

    def _mark(self, token: str) -> None:
        self._tokens.append(self._id(token))
        self._positions.text(1)

    def _take(self, pads: int | list[int], rows: FloatArray, deepstack: tuple[FloatArray, ...]) -> None:
        self._at += range(len(self._tokens), len(self._tokens) + len(rows))
        self._tokens += [pads] * len(rows) if isinstance(pads, int) else pads
        self._rows.append(rows)
        self._deepstack.append(deepstack)

    def _room(self, others: int) -> Room:
        """For audio beside so many `others`."""
        return Room(self._context - len(self._tokens) - others, self._context)

    def _with_room(self, pairs: Iterator[Patches], what: str) -> Iterator[Patches]:
        n = 0
        for pair in pairs:
            rows, columns = self._eyes.tokens(pair)
            n += rows * columns
            self._check_room(n, what)
            yield pair

    def _check_room(self, n: int, what: str) -> None:
        if len(self._tokens) + n > self._context:
            raise ContextLengthError(
                f"the conversation needs more than the {self._context} positions of the thinker's context with {what}: "
                "13 a second of audio, one for each block of pixels of an image or a pair of frames; use shorter audio "
                "or fewer frames, or a smaller max_pixels"
            )

    def result(self) -> Placed:
        depth = max(len(levels) for levels in self._deepstack)
        levels = [self._level(number) for number in range(depth)]
        positions = None if self._positions.flat else self._positions.array()
        media = _native.ThinkerMedia(self._at, np.concatenate(self._rows), deepstack=levels, positions=positions)
        return Placed(self._tokens, media, positions)

    def _level(self, number: int) -> FloatArray:
        """Nothing is added where audio stands."""
        pairs = zip(self._rows, self._deepstack, strict=True)
        return np.concatenate([levels[number] if levels else np.zeros_like(rows) for rows, levels in pairs])

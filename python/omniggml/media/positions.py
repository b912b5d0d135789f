"""Where tokens stand in time, height and width: transformers' `get_rope_index`, one stretch of a conversation after
another."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int32]


class Positions:
    """Counts on through a conversation. Text and audio take one position a token on all axes; behind an image it goes
    on from its longer side, behind a video from its last pair of frames."""

    def __init__(self) -> None:
        self._next = 0
        self._text_from = 0  # of the text that is in no stretch yet
        self._stretches: list[IntArray] = []
        self.flat = True
        """Whether all axes are the same so far."""

    def text(self, n: int) -> None:
        """`n` tokens of text, of audio, or marks around media."""
        self._next += n

    def grid(self, pairs: int, rows: int, columns: int, step: int) -> None:
        """A video of so many tokens, its pairs of frames `step` positions apart; an image is one pair."""
        self._add(_grid(pairs, rows, columns, step))

    def grid_with_audio(self, pairs: int, rows: int, columns: int, step: int, audio: int) -> npt.NDArray[np.bool_]:
        """A video among the `audio` tokens of its sound, in the order of time: a pair of frames before the sound that
        begins with it. Returns which of the tokens are audio."""
        seen, heard = _grid(pairs, rows, columns, step), np.tile(np.arange(audio, dtype=np.int32), (3, 1))
        # Of the same time the picture comes first; a stable sort keeps the order within each.
        order = np.argsort(np.concatenate([2 * seen[0], 2 * heard[0] + 1]), kind="stable")
        is_audio = order >= seen.shape[1]
        joined = np.concatenate([seen, heard], axis=1)[:, order]
        # The reference counts on from the largest of what comes last: all that is left once the other has run out.
        last_kind = is_audio[-1]
        tail = len(is_audio) - (
            int(np.flatnonzero(is_audio != last_kind)[-1]) + 1 if (is_audio != last_kind).any() else 0
        )
        self._add(joined, int(joined[:, -tail:].max()))
        return np.asarray(is_audio, np.bool_)

    def array(self) -> IntArray:
        """int32 [3, tokens]."""
        self._end_text()
        return np.ascontiguousarray(np.concatenate([np.zeros((3, 0), np.int32), *self._stretches], axis=1))

    def _add(self, places: IntArray, largest: int | None = None) -> None:
        self.flat = False
        self._end_text()
        self._stretches.append(places + np.int32(self._next))
        self._text_from = self._next = self._next + 1 + (int(places.max()) if largest is None else largest)

    def _end_text(self) -> None:
        self._stretches.append(np.tile(np.arange(self._text_from, self._next, dtype=np.int32), (3, 1)))
        self._text_from = self._next


def _grid(pairs: int, rows: int, columns: int, step: int) -> IntArray:
    return np.indices((pairs, rows, columns), dtype=np.int32).reshape(3, -1) * np.array([[step], [1], [1]], np.int32)

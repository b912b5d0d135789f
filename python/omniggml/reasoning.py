"""What some models write before their answer, between <think> and </think>, and is no part of it."""

from __future__ import annotations

_OPEN, _CLOSE = "<think>", "</think>"


class Reasoning:
    """Takes it out of an answer that comes bit by bit. `over`: whether what comes now is the answer; `found`: whether
    there was any."""

    def __init__(self) -> None:
        self._held = ""
        self.over = self.found = False
        self._closed = False

    def take(self, bit: str) -> str:
        """The next bit -> what of the answer is sure by now."""
        if self.over:
            return bit
        self._held += bit
        if not self.found:
            return self._looked()
        return self._closed_by() if not self._closed else self._answered()

    def rest(self) -> str:
        """What was held back of an answer that is at its end."""
        rest, self._held = "" if self.found else self._held, ""
        return rest

    def _looked(self) -> str:
        begin = self._held.lstrip()
        if begin.startswith(_OPEN):
            self.found, self._held = True, begin[len(_OPEN) :]
            return self._closed_by()
        return "" if _OPEN.startswith(begin) else self._all()

    def _closed_by(self) -> str:
        _, closed, behind = self._held.partition(_CLOSE)
        if not closed:
            self._held = self._held[1 - len(_CLOSE) :]
            return ""
        self._closed, self._held = True, behind
        return self._answered()

    def _answered(self) -> str:
        """The lines between are no part of the answer either."""
        self._held = self._held.lstrip()
        return self._all() if self._held else ""

    def _all(self) -> str:
        self.over = True
        held, self._held = self._held, ""
        return held

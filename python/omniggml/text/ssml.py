"""SSML, the few tags that people use: pauses, paragraphs, sentences, and how a word is to be read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.parsers import expat

from omniggml.errors import InputError
from omniggml.printable import shown
from omniggml.text.say_as import read_as
from omniggml.text.spans import PAUSE_PARAGRAPH, PAUSE_SENTENCE
from omniggml.warning import warn

# What may stand before the root: a declaration, comments, and a document type, which is refused and not read aloud.
_PROLOG = r"\s*(?:(?:<\?xml[^<>]*\?>|<!--(?:(?!-->).)*-->|<!doctype[^<>\[\]]*(?:\[[^\]]*\]\s*)?>)\s*)*"
_ROOT = re.compile(_PROLOG + r"<speak[\s/>]", re.DOTALL | re.IGNORECASE)
_DOCUMENT = re.compile(r"\s*<(?:\?xml|!--|!doctype|speak[\s/>])", re.IGNORECASE)
_TIME = re.compile(r"\+?(\d+(?:\.\d+)?|\.\d+)\s*(ms|s)")
_STRENGTHS = {"none": 0.0, "x-weak": 0.1, "weak": 0.25, "medium": 0.5, "strong": 0.8, "x-strong": 1.2}
_LONGEST_BREAK = 60.0
_DEEPEST = 64


@dataclass(frozen=True)
class Passage:
    """A text, and the seconds of silence behind it; None leaves that to the rule for texts."""

    text: str
    pause: float | None = None


def is_ssml(text: str) -> bool:
    """Whether the text has a <speak> root."""
    return _ROOT.match(text) is not None


def passages_of(document: str) -> list[Passage]:
    """The passages of an SSML document; without a root, one is put around it. Tags that aren't followed are named in
    one warning.

    Raises InputError for what is no XML, for a document type with entities of its own, and for a break of no time.
    """
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    # Entities of the document's own can grow without bound, or name files.
    parser.StartDoctypeDeclHandler = _refuse_doctype
    rooted = document if _DOCUMENT.match(document) else f"<speak>{document}</speak>"
    try:
        parser.Parse(rooted.strip().encode(), True)
    except expat.ExpatError as error:
        raise InputError(f"the SSML can't be read: {error}") from None
    passages = reader.passages()
    if reader.passed_over:
        warn(f"SSML tags that change nothing here: {', '.join(sorted(reader.passed_over))}")
    return passages


def _refuse_doctype(*_: object) -> None:
    raise InputError("the SSML has a document type; write it without one")


class _Reader:
    def __init__(self) -> None:
        self.passed_over: set[str] = set()
        self._passages: list[Passage] = []
        self._words = ""
        self._open: list[tuple[str, str, str]] = []  # how what is inside is said, its form, and the words before it
        self._broken = False  # whether a break is the last thing that came

    def start(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition(":")[2]
        if len(self._open) >= _DEEPEST:
            raise InputError(f"the SSML has tags {_DEEPEST} deep")
        way = form = ""
        if name in ("p", "s"):
            self._pause(None if not self._words.strip() else PAUSE_PARAGRAPH if name == "p" else PAUSE_SENTENCE)
        elif name == "break":
            self._pause(_break(attributes))
            if not self._passages:
                self.passed_over.add("a break before the first word")
            self._broken = bool(self._passages)
        elif name == "sub":
            self._words += attributes.get("alias", "")
            way = "sub" if "alias" in attributes else ""
        elif name == "say-as":
            way, form = f"say-as {attributes.get('interpret-as', '')}", attributes.get("format", "")
        elif name != "speak":
            self.passed_over.add(name)
        self._open.append((way, form, self._words))
        if name == "say-as":
            self._words = ""

    def end(self, name: str) -> None:
        name = name.rpartition(":")[2]
        way, form, before = self._open.pop()
        if way == "sub":
            self._words = before
        elif way:
            said, passed_over = read_as(self._words, way.removeprefix("say-as "), form)
            self._words = before + said
            self.passed_over |= {passed_over} - {""}
        if name in ("p", "s"):
            self._pause(PAUSE_PARAGRAPH if name == "p" else PAUSE_SENTENCE)

    def text(self, text: str) -> None:
        self._words += text
        self._broken = self._broken and not text.strip()

    def passages(self) -> list[Passage]:
        self._pause(None)
        if self._broken:
            self.passed_over.add("a break behind the last word")
        return self._passages

    def _pause(self, seconds: float | None) -> None:
        words, self._words = " ".join(self._words.split()), ""
        if words:
            self._passages.append(Passage(words, seconds))
        elif self._passages and seconds is not None:
            last = self._passages[-1]
            self._passages[-1] = Passage(last.text, max(last.pause or 0.0, seconds))


def _break(attributes: dict[str, str]) -> float:
    time = attributes.get("time")
    if time is None:
        strength = attributes.get("strength", "medium")
        if strength not in _STRENGTHS:
            raise InputError(f"a break has the strength {shown(strength)}; it can be {', '.join(_STRENGTHS)}")
        return _STRENGTHS[strength]
    found = _TIME.fullmatch(time.strip())
    if found is None:
        raise InputError(f"a break has the time {shown(time)}; expected one such as 500ms or 1.5s")
    seconds = float(found[1]) / (1000 if found[2] == "ms" else 1)
    if seconds > _LONGEST_BREAK:
        raise InputError(f"a break of {seconds:g} s is longer than {_LONGEST_BREAK:g} s")
    return seconds

"""The models that the faults are in, what they said, and ports of them."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[3] / "tests"))  # where the other part of the benchmark takes its writers

from ..subjects import Subjects
from .frozen import SUBJECTS
from .grammar import Grammar
from .port_talker import Request, TalkerPort
from .port_vocoder import VocoderPort
from .talker_mistakes import talker_grammar
from .vocoder_mistakes import vocoder_grammar

TEXTS = (
    "hello world, how are you today",
    "the weather is nice today and i am going out",
    "she sells sea shells by the sea shore",
    "please call me back before the end of the week",
    "we took the last train home and it was late",
    "a quick answer is not always a good one",
)
FRAMES = {"voice": 70, "mini": 80}


class Unseen(Subjects):
    """Below one directory; what is slow is made once a process."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, None)
        self.said = cache(self._said)
        self.vocoder = cache(self._vocoder)
        self.grammar = cache(self._grammar)
        self.sound = cache(self._sound)
        self.talker = cache(self._talker)
        self.talker_grammar = cache(self._talker_grammar)
        self.spoken_by_port = cache(self._spoken_by_port)

    def _said(self, name: str, text: int, seed: int = 1, speaker: str | None = None) -> Any:
        return self.model(name).speak(TEXTS[text], seed=seed, max_frames=FRAMES[name], speaker=speaker)

    def _vocoder(self, name: str) -> VocoderPort:
        return VocoderPort.read(self.file(name))

    def _grammar(self, name: str) -> Grammar:
        return vocoder_grammar(self.vocoder(name))

    def _talker(self, name: str) -> TalkerPort:
        return TalkerPort.read(self.file(name))

    def _talker_grammar(self, name: str) -> Grammar:
        return talker_grammar(self.talker(name))

    def request(self, name: str, text: int) -> Request:
        model = self.model(name)
        conversation = model.tokenizer.encode_chat([{"role": "user", "content": ""}])
        return Request(conversation, model.tokenizer.encode(TEXTS[text]), model.default_speaker)

    def _spoken_by_port(self, name: str, text: int, seed: int) -> tuple[Any, float]:
        """What the sound port says, and how likely it finds that."""
        request = self.request(name, text)
        codes = self.talker(name).speak(request, seed, FRAMES[name])
        return codes, self.talker(name).likelihood(request, codes)

    def _sound(self, name: str, text: int) -> Any:
        return self.vocoder(name).decode(self.said(name, text).codes)

    def make_files(self) -> None:
        """What every process shares, before they part."""
        for name in SUBJECTS:
            self.file(name)

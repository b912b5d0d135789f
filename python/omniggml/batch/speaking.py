"""Texts of a batch -> speeches, several at a time, each as it would be alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from omniggml.audio import Audio
from omniggml.batch.texts import BatchText
from omniggml.errors import InputError
from omniggml.model import Model
from omniggml.options import SpeechOptions

_ROUNDS = 4
"""Texts that are begun together, times the slots: what is lost when the process is killed."""


@dataclass(frozen=True)
class SpokenText:
    """A text of a batch and its `audio`, or why there is none."""

    text: BatchText
    audio: Audio | None
    error: str = ""


def speak_texts(model: Model, texts: Sequence[BatchText], options: SpeechOptions, slots: int) -> Iterator[SpokenText]:
    """Each text once, in whatever order they are done. What can't be spoken comes with its error."""

    def voice(text: BatchText) -> tuple[str, int]:
        return text.speaker or options.speaker or "", options.seed if text.seed is None else text.seed

    for (speaker, seed), group in groupby(sorted(texts, key=voice), voice):
        members = list(group)
        chosen = replace(options, speaker=speaker or None, seed=seed)
        for start in range(0, len(members), slots * _ROUNDS):
            yield from _together(model, members[start : start + slots * _ROUNDS], chosen, slots)


def _together(model: Model, texts: Sequence[BatchText], options: SpeechOptions, slots: int) -> Iterator[SpokenText]:
    keywords = {name: getattr(options, name) for name in options.__dataclass_fields__}
    try:
        spoken = model.speak_batch([text.text for text in texts], together=slots, **keywords)
    except InputError as error:
        if len(texts) == 1:
            yield SpokenText(texts[0], None, str(error))
            return
        # One of them can't be spoken; the others are.
        for text in texts:
            yield from _together(model, [text], options, 1)
        return
    yield from map(SpokenText, texts, spoken)

"""Texts of a batch -> speeches, several at a time, each as it would be alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from itertools import islice

from omniggml.audio import Audio
from omniggml.batch.texts import BatchText
from omniggml.engine import SpeechEngine
from omniggml.errors import InputError, NumericError
from omniggml.model import Model
from omniggml.openai_voices import speaker_of
from omniggml.options import SpeechOptions
from omniggml.warning import heard

_AHEAD = 2
"""Texts that wait for a slot, so that none is idle while the next text is cut into sentences."""


@dataclass(frozen=True)
class SpokenText:
    """A text of a batch and its `audio`, or why there is none; `warnings`: what of it could not be spoken."""

    text: BatchText
    audio: Audio | None
    error: str = ""
    warnings: tuple[str, ...] = ()


def speak_texts(model: Model, texts: Sequence[BatchText], options: SpeechOptions, slots: int) -> Iterator[SpokenText]:
    """Each text once, in whatever order they are done. What can't be spoken comes with its error."""
    # Long ones first: what is spoken last is short, and no slot is idle for long at the end.
    waiting = iter(sorted(texts, key=lambda text: -len(text.text)))
    # The engine is left first: it ends what is still spoken, for which the threads wait.
    with ThreadPoolExecutor(slots + _AHEAD) as threads, model.engine(slots=slots, queue=2 * (slots + _AHEAD)) as engine:
        begun = {threads.submit(_said, model, engine, text, options) for text in islice(waiting, slots + _AHEAD)}
        while begun:
            done, begun = wait(begun, return_when=FIRST_COMPLETED)
            begun |= {threads.submit(_said, model, engine, text, options) for text in islice(waiting, len(done))}
            for one in done:
                yield one.result()


def _said(model: Model, engine: SpeechEngine, text: BatchText, options: SpeechOptions) -> SpokenText:
    seed = options.seed if text.seed is None else text.seed
    named = text.speaker or options.speaker
    try:
        speaker = speaker_of(model, named) if isinstance(named, str) else named
        chosen = replace(options, speaker=speaker, seed=seed)
        warnings: list[str] = []
        with heard(warnings):
            audio = Audio.join(list(engine.begin_with(text.text, chosen)))
        return SpokenText(text, audio, warnings=tuple(dict.fromkeys(warnings)))
    except (InputError, NumericError) as error:
        return SpokenText(text, None, str(error))

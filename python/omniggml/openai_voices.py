"""Names of voices as clients and their files have them: the model's speakers, mixtures, and OpenAI's names for those
who know no others."""

from __future__ import annotations

from collections.abc import Sequence

from omniggml.errors import InputError
from omniggml.model import Model
from omniggml.printable import shown

_LOWER, _HIGHER = ("ethan", "aiden"), ("chelsie",)

ALIASES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("ash", "ballad", "cedar", "echo", "fable", "onyx", "verse"), _LOWER),
    **dict.fromkeys(("alloy", "coral", "marin", "nova", "sage", "shimmer"), _HIGHER),
}
"""OpenAI's voices -> speakers of the published model that are nearest; another model's default speaks for them."""


def speaker_of(model: Model, voice: str | None) -> str:
    """The speaker, or the mixture of some, that is meant. Raises InputError for a name that is nobody's, and for what
    is no mixture."""
    if voice is None or voice in ("", "default"):
        return model.default_speaker
    if ":" not in voice or voice in model.speakers:
        return _named(model, voice)
    parts = [part.rpartition(":") for part in voice.split(",")]
    mixture = ",".join(f"{_named(model, name.strip())}:{weight}" if colon else weight for name, colon, weight in parts)
    model.check_speaker(mixture)
    return mixture


def _named(model: Model, voice: str) -> str:
    speakers = model.speakers
    name = next((name for name in speakers if name.lower() == voice.lower()), None)
    if name is not None:
        return name
    meant = ALIASES.get(voice.lower())
    if meant is None:
        raise InputError(f"there is no voice {shown(voice)}; there are {', '.join(speakers)}")
    return _first(speakers, meant) or model.default_speaker


def _first(speakers: Sequence[str], wanted: Sequence[str]) -> str | None:
    return next((name for want in wanted for name in speakers if name.lower() == want), None)

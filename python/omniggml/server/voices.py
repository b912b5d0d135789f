"""Names of voices: the model's speakers, and OpenAI's names for clients that know no others."""

from __future__ import annotations

from collections.abc import Sequence

from omniggml.model import Model
from omniggml.server.api_error import ApiError

_LOWER, _HIGHER = ("ethan", "aiden"), ("chelsie",)

ALIASES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("ash", "ballad", "cedar", "echo", "fable", "onyx", "verse"), _LOWER),
    **dict.fromkeys(("alloy", "coral", "marin", "nova", "sage", "shimmer"), _HIGHER),
}
"""OpenAI's voices -> speakers of the published model that are nearest; another model's default speaks for them."""


def speaker_of(model: Model, voice: str | None) -> str:
    """The speaker that a client means. Raises ApiError for a name that is nobody's."""
    if voice is None or voice in ("", "default"):
        return model.default_speaker
    speakers = model.speakers
    if ":" in voice:
        return voice  # a mixture, which the model judges
    name = next((name for name in speakers if name.lower() == voice.lower()), None)
    if name is not None:
        return name
    meant = ALIASES.get(voice.lower())
    if meant is None:
        raise ApiError(400, f"there is no voice {voice!r:.80}; there are {', '.join(speakers)}", param="voice")
    return _first(speakers, meant) or model.default_speaker


def _first(speakers: Sequence[str], wanted: Sequence[str]) -> str | None:
    return next((name for want in wanted for name in speakers if name.lower() == want), None)

"""Files beside a checkpoint's weights: those that people forget, what that means and where to take them; and weights
that belong to nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from omniggml.conversion.encoder_configs import image_settings
from omniggml.conversion.safetensors_reader import unlisted_weights
from omniggml.files.plan import some_of
from omniggml.files.refusals import PUBLISHED_REPOSITORY
from omniggml.files.tokenizer_metadata import read_tokenizer_files
from omniggml.warning import warn

TAKE_IT = f"copy it from the model that this one was made of, such as {PUBLISHED_REPOSITORY}"


def warn_of_missing_files(directory: Path, *, speaks_or_thinks: bool, sees: bool) -> None:
    """Of those without which a checkpoint converts, and does something else than its model. `speaks_or_thinks`: a
    speech file or a thinker is made of it; `sees`: an encoder for images is."""
    for what, without in _missing(directory, speaks_or_thinks, sees):
        warn(f"{directory} has no {what}: {without}; {TAKE_IT}")


def warn_of_unread_weights(directory: Path) -> None:
    """Weights that lie beside those of the checkpoint, and that neither its index nor a set of shards lists."""
    if unread := unlisted_weights(directory):
        warn(
            f"{directory} holds weights that are not read, as the checkpoint doesn't list them: {some_of(unread)}; "
            "remove them, or list them in its index"
        )


def _missing(directory: Path, speaks_or_thinks: bool, sees: bool) -> Iterator[tuple[str, str]]:
    if speaks_or_thinks and not (directory / "generation_config.json").exists():
        yield (
            "generation_config.json",
            "its thinker will be greedy, and its talker draw as the reference does",
        )
    if speaks_or_thinks and read_tokenizer_files(directory).chat_template is None:
        yield "chat template (chat_template.json, chat_template.jinja)", "it speaks what it is given, and can't chat"
    if sees and image_settings(directory) is None:
        yield "preprocessor_config.json", "images are made its input as the published model's are"

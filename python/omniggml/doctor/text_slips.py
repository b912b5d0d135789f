"""The text that was told, with its punctuation put right: what was spoken may have a comma more, or a full stop.

Each mark changes how a speech goes on, so that codes fit up to the first that is missing and not behind it. It is put
right mark by mark, the first first, as far as the codes then fit for longer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
import numpy.typing as npt

from omniggml.doctor import thresholds as bounds
from omniggml.doctor.likelihood import Likelihood, likelihood_of, prompt_for
from omniggml.model import Model

IntArray = npt.NDArray[np.int32]

_WITHIN, _AT_THE_END = ("", ","), ("", ".", "?", "!")
_MARKS = ",.?!;:"


def with_other_marks(
    model: Model, text: str, speaker: str, codes: IntArray, told: Likelihood, announce: Callable[[str], None]
) -> str | None:
    """The text with other punctuation whose speech the codes are; None where they are no such one's, or it can't be
    afforded. `told`: how likely the codes are with the text as it was told."""
    geometry = model.geometry["talker"]
    products = geometry["num_hidden_layers"] * geometry["hidden_size"] ** 2 * codes.shape[1]
    fitting, mean = told.fitting_frames(), told.mean
    if products > bounds.SLIP_PRODUCTS or not bounds.LEAST_FITTING <= fitting < codes.shape[1]:
        return None
    announce("trying the text with other punctuation")
    for _ in range(bounds.MOST_SLIPS):
        others = islice(_one_mark_otherwise(model, text, fitting), bounds.MOST_MARKS)
        tried = [(other, likelihood_of(model, prompt_for(model, other, speaker), codes)) for other in others]
        further = [(found.fitting_frames(), found.mean, other, found.fits) for other, found in tried]
        best = max(further, default=(0, 0.0, "", False))
        if best[:2] <= (fitting, mean):
            return None
        fitting, mean, text, fits = best
        if fits:
            return text
    return None


def _one_mark_otherwise(model: Model, text: str, fitting: int) -> Iterator[str]:
    """The text with one mark more, less or another, where so many frames are spoken of: a word takes a frame at least
    for each token, and no more than some."""
    words = text.split()
    for number, word in enumerate(words):
        tokens = len(model.tokenizer.encode(" ".join(words[: number + 1])))
        is_last = number == len(words) - 1
        if not is_last and not fitting / bounds.FRAMES_A_TOKEN <= tokens + 1 <= fitting + 2:
            continue
        bare = word.rstrip(_MARKS)
        for mark in _AT_THE_END if is_last else _WITHIN:
            if bare and bare + mark != word:
                yield " ".join([*words[:number], bare + mark, *words[number + 1 :]])

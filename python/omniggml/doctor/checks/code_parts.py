"""Was a text spoken span by span, as `speak` says a long one, and are the codes the spans', one after the other?"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from omniggml.doctor import thresholds as bounds
from omniggml.doctor.case import Case
from omniggml.doctor.check_report import Report
from omniggml.doctor.likelihood import likelihood_of, prompt_for, spans_of
from omniggml.model import Model, TalkerPrompt

IntArray = npt.NDArray[np.int32]


def check_parts(case: Case, report: Report, model: Model, codes: IntArray) -> bool:
    """Whether they are, which is a note: no span knows what was said before it."""
    assert case.text is not None
    spans = spans_of(model, case.text)
    if not 1 < len(spans) <= bounds.MOST_PARTS or len(spans) * bounds.FEWEST_OF_A_PART > codes.shape[1]:
        return False
    case.announce(f"fitting the codes to the {len(spans)} spans of the text")
    names = [case.speaker] if case.speaker else [None, *(n for n in model.speakers if n != model.default_speaker)]
    begun = ((name, prompt_for(model, spans[0], name)) for name in names)
    name = next((name for name, prompt in begun if _begins(model, prompt, codes)), "")
    frames = [] if name == "" else _frames_of_each(model, [prompt_for(model, span, name) for span in spans], codes)
    if not frames:
        return False
    report.find(
        "codes.parts",
        f"The codes are the text's, in {len(frames)} spans that were each spoken by itself, of "
        f"{', '.join(map(str, frames))} frames.",
        frames=frames,
    )
    return True


def _begins(model: Model, prompt: TalkerPrompt, codes: IntArray) -> bool:
    """Whether the first frames are what the model says."""
    some = codes[:, : bounds.FEWEST_OF_A_PART + 2]
    return bool(some.shape[1]) and not bounds.MISFIT_FRAME.above(
        likelihood_of(model, prompt, np.ascontiguousarray(some)).misfit
    )


def _frames_of_each(model: Model, prompts: list[TalkerPrompt], codes: IntArray) -> list[int]:
    """[] where they aren't these prompts', one after the other."""
    frames: list[int] = []
    for number, prompt in enumerate(prompts):
        rest = np.ascontiguousarray(codes[:, sum(frames) :])
        found = likelihood_of(model, prompt, rest[:, : bounds.LONGEST_SPAN])
        if number == len(prompts) - 1:
            return [] if bounds.MISFIT.above(found.misfit) else [*frames, rest.shape[1]]
        assert found.deficit is not None
        wrong = np.flatnonzero(found.deficit.mean(axis=0) > bounds.MISFIT_FRAME.value)[: bounds.ARRANGED_AGAIN]
        # What follows may fit by chance for a frame or two.
        ends = [int(frame) - back for frame in wrong for back in range(bounds.FEWEST_OF_A_PART)]
        able = (end for end in dict.fromkeys(ends) if end >= bounds.FEWEST_OF_A_PART)
        end = next((end for end in able if _begins(model, prompts[number + 1], rest[:, end:])), None)
        if end is None:
            return []
        frames.append(end)
    return frames

"""What the talker is given before and beside its codes, row by row as ids, so that it can be given others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from omniggml.model import TalkerPrompt
from omniggml.spec.model_config import ModelConfig

FloatArray = npt.NDArray[np.float32]
Rows = tuple[tuple[int, int], ...]

NOTHING = -1
"""In place of an id: no embedding is added."""
_PADS = 4
_CODEC = (
    "codec_nothink_id",
    "codec_think_bos_id",
    "codec_think_eos_id",
    "the speaker's id",
    "codec_pad_id",
    "codec_bos_id",
)
_HEADER = 3  # im_start, the role, a newline


@dataclass(frozen=True)
class PromptPlan:
    """`config`: of the model, which has the ids. `rows`: ids of text and codec, whose embeddings are added, of each row
    before the first frame; `trailing`: text ids, a row a frame; `pad`: the text id after them. `own`: how many rows the
    answer has of its own."""

    config: ModelConfig = field(repr=False, compare=False)
    rows: Rows
    trailing: tuple[int, ...]
    pad: int
    own: int = _HEADER + len(_CODEC)

    @classmethod
    def right(cls, config: ModelConfig, conversation: Sequence[int], answer: Sequence[int], speaker: int) -> PromptPlan:
        """Of a conversation of one user's turn, that ends with the header of the answer, and the answer's tokens."""
        token, talker = config.token, config.talker
        text = [*conversation[-_HEADER:], *_PADS * [token.tts_pad], token.tts_bos, answer[0]]
        codec = [talker.codec_nothink_id, talker.codec_think_bos_id, talker.codec_think_eos_id, speaker]
        codec = [*_HEADER * [NOTHING], *codec, talker.codec_pad_id, talker.codec_bos_id]
        user = [(id, NOTHING) for id in conversation[:-_HEADER]]
        return cls(config, (*user, *zip(text, codec, strict=True)), (*answer[1:], token.tts_eos), token.tts_pad)

    def made(self, text: Callable[[Sequence[int]], FloatArray], codec: FloatArray) -> TalkerPrompt:
        """`text`: ids to projected rows; `codec`: the talker's table."""
        ids = sorted({*(id for id, _ in self.rows), *self.trailing, self.pad} - {NOTHING})
        projected = dict(zip(ids, text(ids), strict=True))
        nothing = np.zeros(codec.shape[1], np.float32)
        inputs = [projected.get(id, nothing) + (nothing if code == NOTHING else codec[code]) for id, code in self.rows]
        trailing = [projected.get(id, nothing) for id in self.trailing]
        pad = projected.get(self.pad, nothing)
        return TalkerPrompt(np.stack(inputs), np.reshape(trailing, (-1, len(pad))).astype(np.float32), pad[None])

    def with_row(self, number: int, *rows: tuple[int, int]) -> PromptPlan:
        return replace(self, rows=(*self.rows[:number], *rows, *self.rows[number + 1 :]))

    def with_codec(self, codec: Sequence[int]) -> PromptPlan:
        """Other ids in the last rows."""
        first = len(self.rows) - len(codec)
        own = ((id, code) for (id, _), code in zip(self.rows[first:], codec, strict=True))
        return replace(self, rows=(*self.rows[:first], *own))

    def with_text(self, change: Callable[[int], int]) -> PromptPlan:
        """Other text ids everywhere."""

        def each(id: int) -> int:
            return id if id == NOTHING else change(id)

        rows = tuple((each(id), code) for id, code in self.rows)
        return replace(self, rows=rows, trailing=tuple(map(each, self.trailing)), pad=each(self.pad))

    def codec(self) -> list[int]:
        return [code for _, code in self.rows[-len(_CODEC) :]]


@dataclass(frozen=True)
class Replanned:
    """A mistake in ids. `kind`: "speaker" of those of the codec, "text" of others. `known`: see `SpeakerMistake`."""

    kind: str
    clause: str
    plan: PromptPlan
    known: str = ""


def replanned(plan: PromptPlan) -> Iterator[Replanned]:
    """Every other plan that a port may come to, each once."""
    seen = {plan}
    for mistake in (*_of_codec(plan), *_of_marks(plan), *_of_text(plan), *_of_rows(plan)):
        if mistake.plan not in seen and _within(mistake.plan):
            seen.add(mistake.plan)
            yield mistake


def text_ids(plan: PromptPlan) -> set[int]:
    """All that the plan and its mistakes may ask for."""
    last = plan.config.thinker.vocab_size - 1  # of a table that is read backwards
    every = [plan, plan.with_text(lambda id: last - id), *(mistake.plan for mistake in replanned(plan))]
    return {id for one in every for id in (*(id for id, _ in one.rows), *one.trailing, one.pad)} - {NOTHING}


def _within(plan: PromptPlan) -> bool:
    """Whether there are rows, and embeddings of all ids."""
    texts = {*(id for id, _ in plan.rows), *plan.trailing, plan.pad} - {NOTHING}
    codec = {code for _, code in plan.rows} - {NOTHING}
    sizes = plan.config.thinker.vocab_size, plan.config.talker.vocab_size
    return bool(plan.rows) and all(0 <= id < n for ids, n in zip((texts, codec), sizes, strict=True) for id in ids)


# --- ids of the codec -------------------------------------------------------------------------------------------------


def _of_codec(plan: PromptPlan) -> Iterator[Replanned]:
    right, talker = plan.codec(), plan.config.talker
    names = {getattr(talker, name): name for name in (*_CODEC, "codec_eos_token_id") if hasattr(talker, name)}
    speakers = {id: f"{name}'s" for name, id in talker.speakers}
    for place, (id, name) in enumerate(zip(right, _CODEC, strict=True)):
        others = names | (speakers if name.startswith("the") else {})
        words = {NOTHING: f"{name} is left out", id + 1: f"{name} is one too high", id - 1: f"{name} is one too low"}
        words |= {other: f"{name} is {who}" for other, who in others.items() if other != id}
        for other, clause in words.items():
            yield Replanned("speaker", clause, plan.with_codec([*right[:place], other, *right[place + 1 :]]))
    for one in range(len(right)):
        for other in range(one):
            ids = list(right)
            ids[one], ids[other] = right[other], right[one]
            yield Replanned("speaker", f"{_CODEC[other]} and {_CODEC[one]} are exchanged", plan.with_codec(ids))
    n = len(right)
    for clause, ids in (
        ("no ids of the codec are added to the text before the first frame", n * [NOTHING]),
        ("codec_nothink_id, codec_think_bos_id and codec_think_eos_id are left out", [*3 * [NOTHING], *right[3:]]),
        ("the ids of the codec come a row late, the last one first", [right[-1], *right[:-1]]),
        ("the ids of the codec come a row late", [NOTHING, *right[:-1]]),
        ("the ids of the codec come a row early", [*right[1:], NOTHING]),
        ("the speaker's id comes last", [*right[:3], *right[4:], right[3]]),
        ("all ids of the codec are one too high", [id + 1 for id in right]),
        ("all ids of the codec are one too low", [id - 1 for id in right]),
    ):
        yield Replanned("speaker", clause, plan.with_codec(ids))


# --- ids of the text --------------------------------------------------------------------------------------------------


def _of_marks(plan: PromptPlan) -> Iterator[Replanned]:
    token = plan.config.token
    marks = {name: getattr(token, name) for name in ("tts_pad", "tts_bos", "tts_eos", "im_start", "im_end")}
    for name, right in marks.items():
        words = {right + 1: f"{name} is one too high", right - 1: f"{name} is one too low"}
        words |= {NOTHING: f"{name} is zeros", **{other: f"{name} is {who}" for who, other in marks.items()}}
        for other, clause in words.items():
            changed = plan.with_text(lambda id, a=right, b=other: b if id == a else id)  # type: ignore[misc]
            known = "tts-bos-for-eos" if (right, other) == (token.tts_eos, token.tts_bos) else ""
            yield Replanned("text", clause, changed, known)
    ends = {NOTHING: "zeros follow the text", **{id: f"{name} follows the text" for name, id in marks.items()}}
    for id, clause in ends.items():
        yield Replanned("text", f"{clause} for ever", replace(plan, pad=id))
        yield Replanned("text", f"{clause} once", replace(plan, trailing=(*plan.trailing[:-1], id)))


def _of_text(plan: PromptPlan) -> Iterator[Replanned]:
    first, eos = plan.rows[-1][0], plan.trailing[-1]
    before, own = plan.rows[: -plan.own], plan.rows[-plan.own :]
    spoken = tuple((id, NOTHING) for id in (first, *plan.trailing[:-1]))
    for by, words in ((1, "high"), (-1, "low")):
        yield Replanned("text", f"all ids of the text are one too {words}", plan.with_text(lambda id, by=by: id + by))  # type: ignore[misc]
        shifted = replace(
            plan.with_row(len(plan.rows) - 1, (first + by, plan.rows[-1][1])),
            trailing=(*(id + by for id in plan.trailing[:-1]), eos),
        )
        yield Replanned("text", f"ids of the text that is spoken are one too {words}", shifted)
    for clause, changed in (
        ("nothing follows the text in the place of tts_eos", replace(plan, trailing=plan.trailing[:-1])),
        ("tts_eos comes twice", replace(plan, trailing=(*plan.trailing, eos))),
        ("the first token of the text comes twice", replace(plan, trailing=(first, *plan.trailing))),
        ("the text is read before the answer as well", replace(plan, rows=(*before, *spoken, *own))),
        ("the text is read before all else as well", replace(plan, rows=(*spoken, *before, *own))),
        ("the text is read before the answer alone", replace(plan, rows=(*before, *spoken, *own), trailing=())),
        ("the user's turn is left out", replace(plan, rows=own)),
        ("the user's turn comes twice", replace(plan, rows=(*before, *before, *own))),
        ("the header of the answer is left out", replace(plan, rows=(*before, *own[_HEADER:]))),
        ("the answer's turn comes before the user's", replace(plan, rows=(*own, *before))),
    ):
        yield Replanned("text", clause, changed)
    for name in ("system", "user", "assistant"):
        id = getattr(plan.config.token, name)
        at = len(before) + 1
        yield Replanned("text", f"the answer's role is {name}", plan.with_row(at, (id, NOTHING)))
        if before:
            yield Replanned("text", f"the user's role is {name}", plan.with_row(1, (id, NOTHING)))


def _of_rows(plan: PromptPlan) -> Iterator[Replanned]:
    """Each row with an id of the codec not at all, without one of its halves, or, of those that fill up, twice. Rows of
    text alone are left out nowhere but together: one less of them changes what an engine of few bits does."""
    for number, (text, code) in enumerate(plan.rows):
        if code == NOTHING:
            continue
        where = f"row {number + 1} of {len(plan.rows)} before the first frame"
        yield Replanned("speaker", f"{where} is left out", plan.with_row(number))
        if text == plan.config.token.tts_pad:
            yield Replanned("speaker", f"{where} comes twice", plan.with_row(number, (text, code), (text, code)))
        yield Replanned("text", f"{where} has no text", plan.with_row(number, (NOTHING, code)))
        yield Replanned("speaker", f"{where} has no id of the codec", plan.with_row(number, (text, NOTHING)))

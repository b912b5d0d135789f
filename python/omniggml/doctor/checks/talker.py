"""The talker: does text reach it, does it choose, does it end; and which talker would have said these codes?"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from omniggml.doctor import thresholds as bounds
from omniggml.doctor.case import Case
from omniggml.doctor.catalogue import Certainty
from omniggml.doctor.check_report import Report
from omniggml.doctor.checks.codes import Readable
from omniggml.doctor.counterfactuals import talker_mistakes
from omniggml.doctor.drawing import LEAST, Drawn, Draws
from omniggml.doctor.likelihood import (
    Likelihood,
    likelihood_of,
    logits_of,
    prompt_for,
    spans_of,
    tokens_of,
    with_outputs_fed_back,
)
from omniggml.doctor.next_question import how_many_frames
from omniggml.doctor.talker_mirror import TEXT_TABLE, TalkerMirror
from omniggml.doctor.talker_prompt import PromptPlan, text_ids
from omniggml.doctor.talker_search import TalkerSearch
from omniggml.doctor.text_slips import with_other_marks
from omniggml.errors import OmniError
from omniggml.model import Model, TalkerPrompt

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]

_TEXTS = ("one", "another thing altogether")


def check_talker(case: Case, given: Readable) -> Report:
    """Needs a model with a tokenizer; with codes and their text, the talker that said them is looked for."""
    model = case.model
    if model is None or not case.can_speak:
        return Report()
    report = Report("talker")
    try:
        alive = _check_life(report, model)
    except OmniError as error:
        report.find("talker.not-finite", f"The talker fails: {error}")
        return report
    if alive and case.text and given.right is not None and not given.stuck and not given.explained:
        frames = min(bounds.TALKER_FRAMES, _frames_of_the_first_words(model, case.text))
        codes = np.ascontiguousarray(given.right[:, :frames])
        _recognise(case, report, model, codes, case.text, ends=codes.shape == given.right.shape)
    return report


def _frames_of_the_first_words(model: Model, text: str) -> int:
    """How many frames are given the same words whether a text is spoken at once or, as `speak` does with a long one,
    span by span: a frame for each of the first span's tokens."""
    spans = spans_of(model, text)
    if len(spans) < 2:
        return bounds.TALKER_FRAMES
    return max(bounds.FEWEST_FRAMES, len(tokens_of(model, spans[0])[1]))


def _check_life(report: Report, model: Model) -> bool:
    prompts = [prompt_for(model, text) for text in _TEXTS]
    first, last = prompts[0].inputs[-1], prompts[1].inputs[-1]
    if not bounds.DEAD_TEXT.above(float(np.abs(first - last).max()) / (float(np.abs(first).max()) or 1)):
        report.find("talker.dead-text", "Two texts give the talker the same first input.")
        return False
    groups = model.geometry["code_predictor"]["num_code_groups"]
    states = model.talker_states(prompts[0], np.zeros((groups, 1), np.int32))
    if not np.isfinite(states.logits).all():
        report.find("talker.not-finite", "The talker computes NaN or infinity.")
        return False
    logits = states.logits[0, : model.geometry["code2wav"]["codebook_size"]].astype(np.float64)
    spread = float(logits.std())
    report.measurements["talker"] = {
        "logits_deviation": round(spread, 4),
        "eos_probability": round(_eos(model, states.logits[0]), 6),
    }
    if bounds.FLAT_LOGITS.below(spread):
        report.find(
            "talker.flat-logits",
            f"All codes are equally likely to the talker: its logits deviate by {spread:.1e}.",
        )
        return False
    share = _eos(model, states.logits[0])
    if bounds.ENDS_AT_ONCE.above(share):
        report.find(
            "talker.ends-at-once",
            f"The talker ends with probability {share:.2f} before the first frame.",
            probability=share,
        )
    return True


def _eos(model: Model, logits: FloatArray) -> float:
    """Probability of codec eos among what may be drawn."""
    eos = model.geometry["talker"]["codec_eos_token_id"]
    allowed = np.append(logits[: model.geometry["code2wav"]["codebook_size"]], logits[eos]).astype(np.float64)
    weights = np.exp(allowed - allowed.max())
    return float(weights[-1] / weights.sum())


# --- whose codes are they? --------------------------------------------------------------------------------------------


def _recognise(case: Case, report: Report, model: Model, codes: IntArray, text: str, *, ends: bool) -> None:
    """The mistake under which the codes are what the model says: known ones first, then every change of a module.
    `ends`: the speech ends with them."""
    speaker, prompt, right = _speaker(case, model, codes, text)
    draws = _draws(case)
    logits = logits_of(model, prompt, codes)
    given = None if draws is None else Fitted.judged(draws, *logits, codes)
    if right.fits and (given is None or given.as_usual):
        if draws is not None and given is not None and not _check_drawing(report, given) and ends:
            _check_end(report, model, prompt, codes, draws)
        _say_speaker(case, report, model, speaker)
        return
    if not right.fits and _told_with_a_slip(case, report, model, speaker, codes, right, text):
        return
    few_bits = right.fits and given is not None and given.usual[1].possible
    case.announce("trying what talkers are known to do")
    id, sentence, gained, found = _likeliest_known(case, model, prompt, codes, right)
    report.measurements["talker_likelihood"] = {
        "right": round(right.mean, 3),
        "best_mistake": id,
        "mistaken": round(found.mean, 3),
    }
    if not found.fits and _searched(case, report, model, speaker, prompt, codes, right, draws, few_bits):
        return
    # Of a text that was told with a slip, what comes a frame late fits a little better; it must fit.
    if gained > 0 and found.fits and not right.fits:
        report.find(
            id,
            f"These codes are those of a talker with a mistake: {sentence} (a code gets {found.mean:.2f} nats with it, "
            f"{right.mean:.2f} without).",
            right=round(right.mean, 3),
            mistaken=round(found.mean, 3),
            frames=codes.shape[1],
        )
        return
    if found.fits and _searched(case, report, model, speaker, prompt, codes, right, draws, few_bits):
        return
    fitting, frames = right.frames_before(range(len(codes))), codes.shape[1]
    # Of another text neither fits; a talker that draws hotter leaves its predictor as it is.
    late = bounds.HOT_LATE if given is None or given.as_usual else bounds.SLIP_FRAMES
    if given is None or not _check_drawing(report, given, later=late.above(fitting) and fitting < frames):
        if given is not None and right.fits:
            _say_never_drawn(report, given, frames)
        _say_speaker(case, report, model, speaker)


def _told_with_a_slip(
    case: Case, report: Report, model: Model, speaker: str, codes: IntArray, right: Likelihood, text: str
) -> bool:
    """Whether the codes are those of the text with other punctuation: then that is said."""
    spoken = with_other_marks(model, text, speaker, codes, right, case.announce)
    if spoken is None:
        return False
    report.find(
        "codes.other-text",
        f'The codes are what the model says of "{spoken}": what was told has other punctuation, which changes how '
        "it is spoken.",
        cause={"kind": "text", "where": "codes"},
        spoken=spoken,
    )
    return True


def _likeliest_known(
    case: Case, model: Model, prompt: TalkerPrompt, codes: IntArray, right: Likelihood
) -> tuple[str, str, float, Likelihood]:
    """The known mistake under which codes are likeliest: id, clause, how clearly, and how likely."""
    embedded = case.embeddings(codes)
    best: tuple[str, str, float, Likelihood] | None = None
    for mistake in talker_mistakes(_tts_bos(case, model)):
        if mistake.needs_embeddings and embedded is None:
            continue
        known = embedded if embedded is not None else np.zeros((1, 1, 1), np.float32)
        changed = mistake.prompt(prompt, known)
        if mistake.feeds_outputs:
            changed = with_outputs_fed_back(model, prompt, codes, known)
        found = likelihood_of(model, changed, codes, before_norm=mistake.before_norm)
        gained = _gain(found, right)
        if best is None or gained > best[2]:
            best = mistake.id, mistake.sentence, gained, found
    assert best is not None
    return best


def _say_speaker(case: Case, report: Report, model: Model, speaker: str) -> None:
    if case.speaker is None and speaker != model.default_speaker:
        report.find("talker.other-speaker", f"The speaker of these codes is {speaker}.", speaker=speaker)


def _draws(case: Case) -> Draws | None:
    if case.weights is None or case.weights.derived is None:
        return None
    return Draws.of(case.weights.derived.config, case.inspection.sampling)


def mirror_of(case: Case, model: Model, speaker: str) -> TalkerMirror | None:
    """The file's talker for mistakes, and what it is given for the text where the file holds all that makes that."""
    weights = case.weights
    if weights is None or weights.derived is None:
        return None
    config = weights.derived.config
    mirror = TalkerMirror(weights, asdict(config.talker), asdict(config.code_predictor))
    speakers = {name.lower(): id for name, id in config.talker.speakers}
    if case.text and speaker.lower() in speakers and TEXT_TABLE in weights:
        mirror.plan = PromptPlan.right(config, *tokens_of(model, case.text), speakers[speaker.lower()])
        ids = sorted(text_ids(mirror.plan))
        mirror.texts = dict(zip(ids, weights.rows(TEXT_TABLE, ids), strict=True))
    return mirror


def _searched(
    case: Case,
    report: Report,
    model: Model,
    speaker: str,
    prompt: TalkerPrompt,
    codes: IntArray,
    right: Likelihood,
    draws: Draws | None,
    few_bits: bool,
) -> bool:
    """Whether mistakes that can be made explain the codes: one, or two."""
    mirror = mirror_of(case, model, speaker)
    if draws is None or mirror is None:
        return False
    assert right.deficit is not None
    of_talker = bounds.TALKER_MISFIT.above(float(right.deficit[0].mean()))
    # Two mistakes show from the beginning; another text may not.
    first = right.fitting_frames()
    pairs = not right.fits and not bounds.FIT_AT_FIRST.above(first)
    late = not right.fits and bounds.FIT_LONG.above(first)
    late = late and bounds.LATE_MISFIT.above(float(right.deficit[:, first:].mean()))
    found = TalkerSearch(
        mirror, prompt, codes, draws, of_talker, pairs, case.announce, late=late, few_bits=few_bits
    ).run()
    if not found or not found[0].explains:
        return False
    best = found[0]
    clauses = [mistake.clause for mistake in best.mistakes]
    both = "two things are wrong: " if len(clauses) > 1 else ""
    report.find(
        best.mistakes[0].id,
        f"These codes are what the model says when {both}{', and '.join(clauses)} (a code gets {best.mean:.2f} nats "
        f"with it, {best.mean - best.gained / codes.size:.2f} without).",
        tensors=tuple(mistake.where for mistake in best.mistakes),
        cause=tuple(cause for mistake in best.mistakes for cause in mistake.causes),
        right=round(right.sure, 3),
        mistaken=round(best.mean, 3),
        frames=codes.shape[1],
    )
    others = [other for other in found[1:] if other.explains and not bounds.AS_LIKELY.above(best.mean - other.mean)]
    if others:
        report.ask(how_many_frames(best.mean - others[0].mean, len(codes)))
    for other in others[: bounds.MOST_OTHERS]:
        report.find(
            other.mistakes[-1].id,
            f"They are as likely when {', and '.join(mistake.clause for mistake in other.mistakes)}.",
            certainty=Certainty.HINT,
            tensors=tuple(mistake.where for mistake in other.mistakes),
            cause=tuple(cause for mistake in other.mistakes for cause in mistake.causes),
            mistaken=round(other.mean, 3),
        )
    return True


# --- how were they drawn? ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fitted:
    """How codes fit the model as it is: the talker's and the predictor's, drawn as `usual`, and drawn as is likeliest.
    `hot`: with what nobody would use among it; `rank`: the place that all of the predictor's codes have among the
    likeliest, None where they have several; `ended`: nats against a speech that goes on where the model ends it, and
    from which frame; `astray`: frames with codes that are never drawn."""

    usual: tuple[Drawn, Drawn]
    likeliest: tuple[Drawn, Drawn]
    hot: tuple[Drawn, Drawn]
    rank: int | None
    ended: tuple[float, int]
    astray: IntArray

    @classmethod
    def judged(cls, draws: Draws, logits: FloatArray, rest: FloatArray, codes: IntArray) -> Fitted:
        rows = draws.predictor_rows(rest, codes[1:])
        likeliest, hot = (draws.judged(logits, rest, codes, hot=hot) for hot in (False, True))
        return cls(
            draws.usual(logits, rest, codes),
            likeliest,
            hot,
            rows.only_rank,
            draws.against_the_end(logits, codes),
            np.flatnonzero(draws.never(rest, codes).any(axis=0)).astype(np.int32),
        )

    @property
    def explained(self) -> bool:
        """Whether both talker and predictor draw in some way that their codes fit, and that not any codes fit: where
        one draws as usual, the other may be as hot as it likes."""
        ways = list(zip(self.usual, self.likeliest, self.hot, strict=True))
        fit = [any(drawn.exact and drawn.alike for drawn in each) for each in ways]
        cool = [any(drawn.exact and drawn.alike and _is_cool(drawn) for drawn in each) for each in ways]
        return all(cool) or (all(fit) and any(drawn.exact and drawn.alike for drawn in self.usual))

    @property
    def as_usual(self) -> bool:
        """Whether an engine whose predictor draws as the settings say may have said them: what a talker draws, people
        change."""
        predictor = self.usual[1]
        return predictor.possible and predictor.exact and predictor.alike and self.likeliest[0].exact


def _is_cool(drawn: Drawn) -> bool:
    return drawn.drawing.temperature <= bounds.MOST_HEAT


def _check_drawing(report: Report, given: Fitted, *, later: bool = False) -> bool:
    """Whether codes are drawn in a way at which no speech is left, or past the speech's end. `later`: they fit at
    first, as no such way of drawing makes them."""
    nats, frame = given.ended
    if bounds.GOES_ON.above(nats):
        report.find(
            "talker.goes-on",
            f"The speech goes on behind its end: the model ends it at frame {frame} (codec eos), or soon after.",
            cause={"kind": "end", "where": "talker.codec_head"},
            frame=frame,
            nats=round(nats, 1),
        )
        return True
    if given.rank:
        report.find(
            "talker.sampling",
            f"Nearly all of the predictor's codes are number {given.rank + 1} of the likeliest.",
            cause={"kind": "sampling", "where": "talker.code_predictor"},
            rank=given.rank + 1,
        )
        return True
    # Beside codes of the other that nothing explains, those of one may be luck's, and the text another.
    later = later or not given.explained
    every = zip(given.hot, given.likeliest, given.usual, ("talker", "talker.code_predictor"), strict=True)
    for drawn, likeliest, usual, where in every:
        if not (drawn.exact and drawn.alike):
            continue
        # Where a way that people use fits as well, the hot one is luck; where it fits at first, the text is another.
        hot = drawn.drawing.hotter_than(usual.drawing) and not (likeliest.exact and likeliest.alike) and not later
        if hot or bounds.PENALISED.above(drawn.drawing.penalty):
            report.find(
                "talker.sampling",
                f"The {where.rpartition('.')[2].replace('_', ' ')}'s codes are as likely as if they were drawn at "
                f"{drawn.drawing.words()}; its settings are {usual.drawing.words()}. If they were drawn as these say, "
                "it computes otherwise in a way that is none of those tried.",
                cause={"kind": "sampling", "where": where},
                temperature=drawn.drawing.temperature,
                penalty=drawn.drawing.penalty,
            )
            return True
    return False


def _check_end(report: Report, model: Model, prompt: TalkerPrompt, codes: IntArray, draws: Draws) -> None:
    """Whether codes that fit end where the model goes on."""
    frames = codes.shape[1]
    # What comes behind the last frame is told by what is said with one more, whichever that is.
    behind = model.talker_states(prompt, np.concatenate([codes, codes[:, -1:]], axis=1)).logits
    nats = draws.nats_of_the_end(behind)
    if not bounds.NOT_THE_END.above(nats):
        return
    most = frames + bounds.MOST_FRAMES_MORE
    own = model.talker(prompt, max_frames=most, greedy=True).shape[1]
    if own < most and bounds.ENDS_EARLY.below(frames / own):
        report.find(
            "codes.cut-short" if bounds.CUT_SHORT.below(frames / own) else "codes.ends-early",
            f"The codes end after {frames} frames, where the model goes on; it says the text in {own}. They were ended "
            "too early, or the last of them were lost.",
            cause=[{"kind": kind, "where": "codes"} for kind in ("end", "cut")],
            frames=frames,
            expected=own,
            nats=round(nats, 1),
        )


def _say_never_drawn(report: Report, given: Fitted, frames: int) -> None:
    """Of codes as likely as they should be, some of which a sampler never lets through."""
    usual, likeliest = given.usual[1], given.likeliest[1]
    report.measurements["never_drawn"] = {"share": round(usual.outside, 4), "beyond": round(usual.beyond, 3)}
    if likeliest.exact and likeliest.alike:
        report.find(
            "codes.drawn-otherwise",
            f"The predictor's codes are drawn at {likeliest.drawing.words()}; the model's settings are "
            f"{usual.drawing.words()}.",
            drawn=likeliest.drawing.words(),
        )
    elif usual.possible:
        report.find(
            "codes.few-bits",
            f"{usual.outside:.1%} of the predictor's codes are ones that {usual.drawing.words()} never lets through.",
            share=round(usual.outside, 4),
        )
    elif bounds.LATE_FRAMES.above(given.astray[0] * len(given.astray) / (frames - given.astray[0])):
        report.find(
            "codes.other-text",
            f"The first {given.astray[0]} frames are what the model says of this text, of those from frame "
            f"{given.astray[0]} on {usual.outside:.0%} of the codes are never drawn: the text that was spoken may be "
            "another, in a word or a comma, or the codes go on otherwise.",
            cause={"kind": "text", "where": "codes"},
            first_frame=int(given.astray[0]),
        )
    else:
        report.find(
            "codes.never-drawn",
            f"{usual.outside:.0%} of the predictor's codes are ones that a program with this model never draws "
            f"({usual.drawing.words()}), by {usual.beyond / usual.outside:.1f} nats.",
            cause={"kind": "mixed", "where": "codes"},
            share=round(usual.outside, 3),
            beyond=round(usual.beyond, 3),
        )


def _gain(found: Likelihood, right: Likelihood) -> float:
    """How clearly one likelihood is above another: positive where the mean is, and where luck is ruled out."""
    difference = np.maximum(found.values, LEAST) - np.maximum(right.values, LEAST)
    if not np.any(difference) or not found.explained:
        return -1.0
    total, error = float(difference.sum()), float(np.sqrt(np.square(difference).sum()))
    clear = bounds.GAIN.above(total) and bounds.GAIN_LUCK.above(total / error)
    return total / error if clear else -1.0


def _speaker(case: Case, model: Model, codes: IntArray, text: str) -> tuple[str, TalkerPrompt, Likelihood]:
    names = [case.speaker] if case.speaker else model.speakers
    trials = []
    for name in names:
        prompt = prompt_for(model, text, name)
        trials.append((name, prompt, likelihood_of(model, prompt, codes)))
    return max(trials, key=lambda trial: trial[2].mean)


def _tts_bos(case: Case, model: Model) -> FloatArray:
    """tts_bos as the talker sees it, [1, hidden]: what stands where a text of that one token goes on."""
    assert case.weights is not None and case.weights.derived is not None
    token = case.weights.derived.config.token.tts_bos
    conversation = model.tokenizer.encode_chat([{"role": "user", "content": ""}])
    return model.talker_prompt(conversation, [token, token], speaker=None).trailing[:1]

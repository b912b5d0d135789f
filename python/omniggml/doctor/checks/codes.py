"""Codes: are they what the model's talker and predictor say, in the shape and order that code2wav takes?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml.doctor import thresholds as bounds
from omniggml.doctor.case import Case
from omniggml.doctor.check_report import Report
from omniggml.doctor.checks.code_parts import check_parts
from omniggml.doctor.checks.code_pieces import check_pieces
from omniggml.doctor.completion import completed
from omniggml.doctor.copies import copies, says_again
from omniggml.doctor.counterfactuals import CODE_CAUSES, Arrangement, arrangements, frames_moved_by
from omniggml.doctor.likelihood import Likelihood, first_frames, likelihood_of, prompt_for
from omniggml.doctor.progress import Progress
from omniggml.model import Model, TalkerPrompt

IntArray = npt.NDArray[np.int32]

_MOST_NATS = 13.0
_INT32 = np.iinfo(np.int32)


@dataclass(frozen=True)
class Readable:
    """What other checks take from the codes. `right`: as the model should get them, int32 [groups, frames], None where
    they can't be brought there. `rearranged`: they were given in another order. `stuck`: they hardly vary, so that
    likelihood says nothing. `explained`: why they are not what the model says is known."""

    right: IntArray | None = None
    rearranged: bool = False
    stuck: bool = False
    explained: bool = False


def check_codes(case: Case) -> tuple[Report, Readable]:
    """Needs codes; more is known with a model, most with the text too."""
    if case.codes is None:
        return Report(), Readable()
    report = Report("codes")
    return report, _read(case, report, case.codes)


def _read(case: Case, report: Report, given: npt.NDArray[Any]) -> Readable:
    codes = _as_integers(report, given)
    if codes is None:
        return Readable()
    geometry = case.vocoder_geometry
    if geometry is None:
        report.fail("codes against the model: its geometry is not known")
        return Readable()
    groups, size = geometry["num_quantizers"], geometry["codebook_size"]
    codes = _upright(report, codes, groups)
    codes = _inside(case, report, codes, size)
    if codes.size == 0:
        return Readable()
    report.measurements["codes"] = _statistics(codes, size)
    stuck = _check_variety(report, codes)
    if codes.min() < 0 or codes.max() >= size:
        return Readable(stuck=stuck)
    once = codes if stuck else _once(case, report, codes)
    put_right = _judge(case, report, once, groups, size, stuck)
    right = once if put_right is None else put_right
    rearranged = not np.array_equal(right, codes)
    return Readable(right if len(codes) == groups else None, rearranged, stuck, put_right is not None)


def _as_integers(report: Report, given: npt.NDArray[Any]) -> IntArray | None:
    whole = np.issubdtype(given.dtype, np.integer)
    if np.issubdtype(given.dtype, np.floating) and np.isfinite(given).all() and (given == np.round(given)).all():
        report.find("codes.floats", f"The codes are saved as {given.dtype}, though all are whole numbers.")
        whole = True
    if given.ndim > 2 and given.shape[0] == 1:
        given = given[0]
    if given.ndim != 2 or not whole:
        report.find(
            "codes.shape",
            f"The codes are {given.dtype} of shape {list(given.shape)}; expected integers [groups, frames].",
        )
        return None
    if given.size == 0:
        report.find("codes.empty", f"There are no codes: the array has the shape {list(given.shape)}.")
        return None
    return _narrowed(given)


def _narrowed(given: npt.NDArray[Any]) -> IntArray:
    """What is beyond 32 bits stays beyond every codebook."""
    wide = given if given.dtype == np.uint64 else given.astype(np.float64 if given.dtype.kind == "f" else np.int64)
    least = 0 if given.dtype == np.uint64 else _INT32.min
    return np.asarray(np.clip(wide, least, _INT32.max), np.int32)


def _upright(report: Report, codes: IntArray, groups: int) -> IntArray:
    """[groups, frames], turned where the other axis has the model's number of groups."""
    if codes.shape[0] != groups and codes.shape[1] == groups:
        report.find(
            "codes.transposed",
            f"The codes are [{codes.shape[0]} frames, {groups} groups]; code2wav takes [groups, frames].",
            shape=list(codes.shape),
        )
        return np.ascontiguousarray(codes.T)
    return codes


# --- range ------------------------------------------------------------------------------------------------------------


def _inside(case: Case, report: Report, codes: IntArray, size: int) -> IntArray:
    """Codes without what was added to them, and without frames of control ids."""
    if codes.min() < 0:
        n = int((codes < 0).sum())
        report.find("codes.negative", f"{n} of {codes.size} codes are negative, the least {codes.min()}.")
        return codes
    if codes.max() < size:
        return codes
    stride = _added_offset(codes, size)
    if stride:
        per = "the model's codebook" if stride == size else f"the model's codebooks have {size} codes"
        report.find(
            "codes.offset-added",
            f"An offset of {stride} a group was added to the codes already ({per}); the vocoder adds its own.",
            stride=stride,
            codebook_size=size,
        )
        return codes - _added_base(codes, size, stride)
    return _without_control(case, report, codes, size)


def _added_offset(codes: IntArray, size: int) -> int:
    """The step from group to group by which the codes lie above the codebook, 0 where no step explains them."""
    least, most = codes.min(axis=1), codes.max(axis=1)
    for stride in (*(int(size * factor) for factor in bounds.STRIDE_FACTORS), *bounds.STRIDES):
        for first in (0, 1):
            base = (np.arange(len(codes)) + first) * stride
            if len(codes) > 1 and (least >= base).all() and (most < base + size).all():
                return stride
    return 0


def _added_base(codes: IntArray, size: int, stride: int) -> IntArray:
    for first in (0, 1):
        base = ((np.arange(len(codes)) + first) * stride)[:, None]
        if (codes >= base).all() and (codes < base + size).all():
            return base.astype(np.int32)
    return np.zeros((len(codes), 1), np.int32)


def _without_control(case: Case, report: Report, codes: IntArray, size: int) -> IntArray:
    outside = codes >= size
    names = _control_ids(case)
    values = sorted(set(codes[outside].tolist()))
    known = {value: names[value] for value in values if value in names}
    if codes.max() == size and codes.min() >= 1 and not known:
        report.find("codes.off-by-one", f"The codes run from {codes.min()} to {size}: they are counted from 1.")
        return codes - 1
    frames = outside.any(axis=0)
    if known and len(known) == len(values) and bounds.CONTROL_FRAMES.below(float(frames.mean())):
        named = ", ".join(f"{value} ({name})" for value, name in known.items())
        report.find(
            "codes.control-ids",
            f"Ids for control are among the codes: {named}, in {int(frames.sum())} of {codes.shape[1]} frames, the "
            f"first {int(np.argmax(frames))}; the codebook ends at {size - 1}.",
            ids=values,
            frames=int(frames.sum()),
        )
        return codes[:, ~frames]
    group, frame = np.argwhere(outside)[0]
    largest = f"{codes.max()}{' or more' if codes.max() == _INT32.max else ''}"
    report.find(
        "codes.out-of-range",
        f"{int(outside.sum())} of {codes.size} codes are beyond the codebook of {size}, the largest {largest}, the "
        f"first in group {group}, frame {frame}.",
        outside=int(outside.sum()),
        largest=int(codes.max()),
        codebook_size=size,
    )
    return codes


def _control_ids(case: Case) -> dict[int, str]:
    """Ids above the codebook, and what they are."""
    if case.weights is None or case.weights.derived is None:
        return {}
    talker = case.weights.derived.config.talker
    fields = (
        "codec_eos_token_id",
        "codec_bos_id",
        "codec_pad_id",
        "codec_nothink_id",
        "codec_think_bos_id",
        "codec_think_eos_id",
    )
    return {getattr(talker, name): name for name in fields} | {
        number: f"speaker {name}" for name, number in talker.speakers
    }


# --- variety ----------------------------------------------------------------------------------------------------------


def _statistics(codes: IntArray, size: int) -> dict[str, list[float]]:
    """Of each group: range, how many different codes, and the perplexity of their distribution."""
    perplexities = [_perplexity(row) for row in codes]
    return {
        "least": [int(row.min()) for row in codes],
        "largest": [int(row.max()) for row in codes],
        "unique": [len(np.unique(row)) for row in codes],
        "perplexity": [round(value, 2) for value in perplexities],
        "of": [size],
    }


def _perplexity(row: IntArray) -> float:
    counts = np.unique(row, return_counts=True)[1] / len(row)
    return float(np.exp(-(counts * np.log(counts)).sum()))


def _check_variety(report: Report, codes: IntArray) -> bool:
    """Whether they hardly vary."""
    frames = codes.shape[1]
    if frames < bounds.LEAST_FRAMES:
        return False
    same = (codes[:, 1:] == codes[:, :-1]).all(axis=0)
    if bounds.SAME_FRAMES.above(float(same.mean())):
        n = int(same.sum()) + 1
        report.find(
            "codes.constant",
            f"{n} of {frames} frames are the same as the one before.",
            share=float(same.mean()),
        )
        return True
    cycle = _check_cycle(report, codes)
    unique = [len(np.unique(row)) for row in codes]
    median = float(np.median(unique))
    stuck = [
        group
        for group, n in enumerate(unique)
        if median >= bounds.LEAST_DIFFERENT and (n == 1 or bounds.STUCK.below(n / median))
    ]
    collapsed = 0 < len(stuck) < len(codes)
    if collapsed:
        empty = not codes[stuck].any()
        those = f"Group {', '.join(map(str, stuck))} "
        report.find(
            "codes.collapsed-group",
            f"{those}is 0 in every frame: it was never filled, or padded."
            if empty
            else f"{those}has {unique[stuck[0]]} different codes in {frames} frames, the others {median:.0f}.",
            cause={"kind": "silent" if empty else "sampling", "where": "codes"},
            groups=stuck,
            unique=unique,
        )
    equal = [
        (a, b)
        for a in range(len(codes))
        for b in range(a)
        if unique[a] > bounds.LEAST_DIFFERENT_EQUAL and bounds.EQUAL_GROUPS.above(float((codes[a] == codes[b]).mean()))
    ]
    if equal:
        a, b = equal[0]
        report.find(
            "codes.equal-groups",
            f"Groups {b} and {a} carry the same codes ({len(equal)} such pairs).",
            pairs=len(equal),
        )
    return cycle or collapsed or bool(equal)


def _check_cycle(report: Report, codes: IntArray) -> bool:
    for period in range(2, min(bounds.LONGEST_CYCLE, codes.shape[1] // bounds.CYCLES) + 1):
        again = (codes[:, period:] == codes[:, :-period]).all(axis=0)
        if bounds.CYCLE.above(float(again.mean())):
            report.find("codes.repeating", f"The codes repeat every {period} frames.", period=period)
            return True
    return False


def _once(case: Case, report: Report, codes: IntArray) -> IntArray:
    """Without frames that come twice."""
    found = copies(codes) if codes.shape[1] >= bounds.LEAST_FRAMES else None
    # A talker that goes on behind its end says one frame over and over, too: where the text is known, that is asked.
    if found is None or (found.held and case.text is not None):
        return codes
    if found.begins and (case.text is None or says_again(case.text)):
        if case.text is None:
            report.find(
                "codes.parts",
                f"{_capital(found.sentence)}, and begin as the speech does: as where a text says the same twice, in "
                "spans that are each spoken by itself. With --text that is told from a buffer that was sent twice.",
                frames=len(found.frames),
                first_frame=int(found.frames[0]),
            )
        return codes
    report.find(
        "codes.doubled",
        f"{_capital(found.sentence)}: a voice that says something again doesn't say it code by code.",
        cause={"kind": CODE_CAUSES["codes.doubled"], "where": "codes"},
        frames=len(found.frames),
        first_frame=int(found.frames[0]),
    )
    return found.without(codes)


# --- likelihood -------------------------------------------------------------------------------------------------------


def _judge(case: Case, report: Report, codes: IntArray, groups: int, size: int, stuck: bool) -> IntArray | None:
    """What the model itself says of them; the codes put right, where they are in another order, or as they are, where
    something else is known of them that explains why they don't fit."""
    if len(codes) > groups:
        report.find("codes.more-groups", f"There are {len(codes)} groups of codes; the model has {groups}.")
        return None
    model = case.model
    if model is None or not case.can_speak:
        if len(codes) < groups:
            _say_fewer(report, codes, groups, size, None)
        report.skip("how likely the codes are: the model or its tokenizer can't be loaded")
        return None
    if stuck:
        return None  # Likelihood adds nothing.
    prompt = prompt_for(model, case.text, case.speaker)
    if len(codes) < groups:
        _say_fewer(report, codes, groups, size, (model, prompt))
        return None
    prompt, given = _as_spoken(case, model, prompt, codes)
    return _try_arrangements(case, report, model, prompt, given, codes, size)


def _as_spoken(case: Case, model: Model, usual: TalkerPrompt, codes: IntArray) -> tuple[TalkerPrompt, Likelihood]:
    """The prompt of the speaker whose codes these are, and how likely its first frames are: the default one's, where
    none is told, unless it doesn't fit and another's does; where the text isn't known, of that to which the
    predictor's codes are likeliest."""
    few, knows_text = codes[:, : bounds.JUDGED_FRAMES], case.text is not None

    def judged(prompt: TalkerPrompt) -> tuple[TalkerPrompt, Likelihood]:
        return prompt, likelihood_of(model, prompt, few, of_talker=knows_text)

    first = judged(usual)
    if case.speaker is not None or first[1].fits:
        return first
    names = (name for name in model.speakers if name != model.default_speaker)
    others = (judged(prompt_for(model, case.text, name)) for name in names)
    if knows_text:
        return next((one for one in others if one[1].fits), first)
    return max([first, *others], key=lambda one: one[1].mean)


def _try_arrangements(
    case: Case, report: Report, model: Model, prompt: TalkerPrompt, given: Likelihood, codes: IntArray, size: int
) -> IntArray | None:
    """`given`: how likely the first frames are as they are."""
    knows_text = case.text is not None
    report.measurements["likelihood"] = {"mean": round(given.mean, 3), "chance": round(given.chance, 3)}
    if given.fits:
        return _judge_parts(case, report, model, prompt, codes) if knows_text else None
    if knows_text and check_parts(case, report, model, codes):
        return None
    best = _likeliest(case, model, prompt, codes, size, knows_text)
    cured = best is not None and not best[1].ruled_out and _clearly_likelier(best[1], given)
    if not cured and not knows_text:
        best = _other_order(case, model, prompt, codes, size)
        cured = best is not None
    if best is not None and cured and not (knows_text and _still_unlikely(best[1], given)):
        arrangement, found = best
        report.find(
            arrangement.id,
            f"{_capital(arrangement.sentence)}: put right, the model finds a code "
            f"{_times(found.mean - given.mean)} times as likely.",
            cause={"kind": CODE_CAUSES.get(arrangement.id, "order"), "where": "codes"},
            given=round(given.sure, 3),
            cured=round(found.sure, 3),
            chance=round(given.chance, 3),
        )
        return np.ascontiguousarray(arrangement.undo(codes), np.int32)
    if not knows_text and given.ruled_out:
        _say_unlikely(report, given)
        return None
    return _judge_parts(case, report, model, prompt, codes) if knows_text else None


def _likeliest(
    case: Case, model: Model, prompt: TalkerPrompt, codes: IntArray, size: int, knows_text: bool
) -> tuple[Arrangement, Likelihood] | None:
    """The arrangement that makes codes likeliest: of all those that do so on few frames."""

    def judged(arrangement: Arrangement, frames: int) -> Likelihood | None:
        changed = np.ascontiguousarray(arrangement.undo(codes)[:, :frames])
        # Of a few frames some arrangements leave none.
        return likelihood_of(model, prompt, changed, of_talker=knows_text) if changed.shape[1] else None

    progress = Progress(case.announce)
    progress.begins("arranging the codes in other ways")
    known = list(arrangements(codes, len(codes), size))
    if not knows_text:
        known = [one for one in known if frames_moved_by(one, codes) is None]
    known = _likeliest_first_frames(model, prompt, codes, known)
    tried = progress.through(known, len(known), "arranging the codes in other ways")
    every = [(judged(one, bounds.GLANCED_FRAMES), one) for one in tried]
    likely = sorted(((seen.mean, one) for seen, one in every if seen), key=lambda entry: -entry[0])
    nearest = [one for _, one in likely[: bounds.ARRANGED_AGAIN]]
    again = [
        (one, judged(one, bounds.JUDGED_FRAMES))
        for one in progress.through(nearest, len(nearest), "looking again at the likeliest arrangements")
    ]
    return max(((one, seen) for one, seen in again if seen), key=lambda entry: entry[1].mean, default=None)


def _other_order(
    case: Case, model: Model, prompt: TalkerPrompt, codes: IntArray, size: int
) -> tuple[Arrangement, Likelihood] | None:
    """Of codes whose text isn't known: the other order of whole frames in which the predictor finds their codes
    likelier, by more than luck. The same frames are compared, since some of a speech are far less likely than others.
    """
    few = np.ascontiguousarray(codes[:, : bounds.MOVED_FRAMES])
    as_they_are = likelihood_of(model, prompt, few, of_talker=False).by_frame
    found: list[tuple[float, Arrangement, Likelihood]] = []
    for one in arrangements(few, len(few), size):
        moved = frames_moved_by(one, few)
        if moved is None or len(moved) < bounds.LEAST_FRAMES:
            continue
        case.announce(f"trying whether {one.sentence}")
        likelihood = likelihood_of(model, prompt, np.ascontiguousarray(few[:, moved]), of_talker=False)
        gained = likelihood.by_frame - as_they_are[moved]
        luck = float(gained.std()) / np.sqrt(len(gained))
        clear = float(gained.mean()) / max(luck, bounds.LEAST_SURE)
        if bounds.OTHER_ORDER.above(clear):
            found.append((clear, one, likelihood))
    return max(found, key=lambda entry: entry[0])[1:] if found else None


def _likeliest_first_frames(
    model: Model, prompt: TalkerPrompt, codes: IntArray, known: list[Arrangement]
) -> list[Arrangement]:
    """Those whose first frame is likeliest; all that are as likely as the last of them."""
    undone = [(one, one.undo(codes)[:, :1]) for one in known]
    some = [(one, first) for one, first in undone if first.shape[1]]
    if len(some) <= bounds.FIRST_ARRANGEMENTS:
        return [one for one, _ in some]
    likely = first_frames(model, prompt, np.concatenate([first for _, first in some], axis=1))
    least = np.sort(likely)[-bounds.FIRST_ARRANGEMENTS]
    return [one for (one, _), nats in zip(some, likely, strict=True) if nats >= least]


def _judge_parts(case: Case, report: Report, model: Model, prompt: TalkerPrompt, codes: IntArray) -> IntArray | None:
    """Of codes whose text is known: which groups, and from which frame on, are as likely as the model expects? The
    codes put right, where pieces of them are in another order."""
    whole = likelihood_of(model, prompt, codes[:, : bounds.PROFILE_FRAMES])
    assert whole.deficit is not None
    by_group, fitting = whole.deficit.mean(axis=1), whole.fitting_frames()
    report.measurements["misfit"] = {
        "groups": [round(float(value), 2) for value in by_group],
        "fitting_frames": fitting,
    }
    wrong = [group for group, value in enumerate(by_group) if bounds.MISFIT.above(float(value))]
    if not wrong and not whole.unlucky:
        return None
    if fitting >= bounds.JUDGED_FRAMES and check_parts(case, report, model, codes):
        return codes  # what begins otherwise was asked before
    put_right = None if _some_groups(wrong, by_group) else _pieces(case, report, model, prompt, codes, fitting)
    if put_right is None and not _say_length(report, model, prompt, whole):
        _say_what_fits(report, whole, wrong, fitting)
    return put_right


def _some_groups(wrong: list[int], by_group: npt.NDArray[Any]) -> bool:
    """Whether only groups are wrong that other words than were told don't make wrong first: those change what the
    talker says, its own group and the one behind it before all others."""
    return 0 < 2 * len(wrong) <= len(by_group) and min(wrong) > 1


def _say_length(report: Report, model: Model, prompt: TalkerPrompt, whole: Likelihood) -> bool:
    """Whether codes that don't fit are far more than the model says of the text itself."""
    frames = whole.values.shape[1]
    if frames >= bounds.PROFILE_FRAMES:
        return False
    most = bounds.OWN_LENGTHS * frames
    own = model.talker(prompt, max_frames=most, greedy=True).shape[1]
    if not 0 < own < most or not bounds.OTHER_LENGTH.above(frames / own):
        return False
    report.find(
        "codes.unexpected",
        f"The codes are not of this text alone: they are {frames} frames, and the model says it in {own}.",
        cause={"kind": "text", "where": "codes"},
        frames=frames,
        expected=own,
    )
    return True


def _pieces(
    case: Case, report: Report, model: Model, prompt: TalkerPrompt, codes: IntArray, fitting: int
) -> IntArray | None:
    """See `check_pieces`; None where nothing is named."""

    def embed(of: IntArray) -> npt.NDArray[np.float32]:
        embedded = case.embeddings(of)
        assert embedded is not None
        return np.asarray(embedded.sum(axis=0), np.float32)

    if not fitting or case.embeddings(codes[:, :1]) is None:
        return None
    case.announce("putting the codes together again, frame by frame")
    judged, rest = codes[:, : bounds.PROFILE_FRAMES], codes[:, bounds.PROFILE_FRAMES :]
    found = check_pieces(report, model, prompt, judged, embed, fitting)
    return None if found is None else np.ascontiguousarray(np.concatenate([found, rest], axis=1))


def _say_what_fits(report: Report, whole: Likelihood, wrong: list[int], fitting: int) -> None:
    assert whole.deficit is not None
    by_group = whole.deficit.mean(axis=1)
    some = bool(wrong) and len(wrong) * 2 <= len(by_group)
    if some or not wrong:
        # What begins late is said of another text, or of one with a slip, and so far of no other talker.
        fitting = whole.frames_before(wrong or range(len(by_group)))
        some = some and (_some_groups(wrong, by_group) or not bounds.FIT_AT_FIRST.above(fitting))
    if some:
        names = f"Group {wrong[0]} does" if len(wrong) == 1 else f"Groups {', '.join(map(str, wrong))} do"
        report.find(
            "codes.other-groups",
            f"{names} not belong to the others: there a code is {by_group[wrong[0]]:.1f} nats less likely than the "
            "model expects, while the other groups are as it expects.",
            cause={"kind": "mixed", "where": "codes"},
            groups=wrong,
        )
    elif bounds.SLIP_FRAMES.above(fitting) and _astray(whole, fitting):
        report.find(
            "codes.unexpected",
            f"The first {fitting} frames are what the model says of this text; from frame {fitting} on even the "
            "predictor's codes are not what it says after the talker's: frames or groups of something else follow.",
            cause={"kind": "mixed", "where": "codes"},
            misfit=round(whole.misfit, 2),
            first_frame=fitting,
        )
    elif bounds.SLIP_FRAMES.above(fitting) and fitting < whole.deficit.shape[1]:
        report.find(
            "codes.other-text",
            f"The first {fitting} frames are what the model says of this text, those from frame {fitting} on are not: "
            "the text that was spoken may be another, in a word or a comma, or the codes go on otherwise.",
            cause={"kind": "text", "where": "codes"},
            misfit=round(whole.misfit, 2),
            first_frame=fitting,
        )
    elif whole.ruled_out:
        _say_unlikely(report, whole)
    else:
        report.find(
            "codes.unexpected",
            f"The codes are not what the model says of this text: a code is {whole.misfit:.2f} nats less likely than "
            "it expects, beyond what luck gives.",
            cause={"kind": "mixed", "where": "codes"},
            misfit=round(whole.misfit, 2),
        )


def _astray(found: Likelihood, first: int) -> bool:
    """Whether from a frame on the predictor's codes don't fit the talker's, as they do whatever the text is."""
    assert found.ranks is not None
    late = found.ranks[1:, first:]
    return late.size >= bounds.LEAST_LATE and bounds.ASTRAY.above(float(late.mean()))


def _say_unlikely(report: Report, found: Likelihood) -> None:
    report.find(
        "codes.unlikely",
        f"The model finds these codes less likely than chance ({found.sure:.1f} nats a code, chance "
        f"{found.chance:.1f}), in this or any other arrangement.",
        given=round(found.sure, 3),
        chance=round(found.chance, 3),
    )
    report.ask(
        "Send the codes of a short text spoken with the most probable code always, no drawing, and say the text with "
        "--text: of a sound port they are the model's own, one by one, and the first that is not says where to look."
    )


def _still_unlikely(cured: Likelihood, given: Likelihood) -> bool:
    """Whether most of what was unlikely is so in the other order, too: a talker that goes astray is no arrangement."""
    return not cured.fits and bounds.LEFT_UNLIKELY.above(cured.misfit / max(given.misfit, bounds.LEAST_SURE))


def _clearly_likelier(cured: Likelihood, given: Likelihood) -> bool:
    gained, explained = cured.mean - given.mean, given.mean - given.chance
    if cured.fits:
        return bounds.REARRANGED.above(gained)
    return bounds.REARRANGED.above(gained) and (explained <= 0 or bounds.REARRANGED_SHARE.above(gained / explained))


def _say_fewer(
    report: Report, codes: IntArray, groups: int, size: int, judge: tuple[Model, TalkerPrompt] | None
) -> None:
    """Which groups are there? Those that the model finds likely."""
    n = len(codes)
    split = f", as if its {groups} codebooks of {size} were {n} of {groups * size // n}" if groups % n == 0 else ""
    first = 0 if judge is None else _first_group(report, codes, judge)
    if first == 1:
        report.find(
            "codes.first-group-missing",
            f"These are {n} groups from the predictor, groups 1 to {n} of the model's {groups}, without the "
            f"talker's own "
            f"code (group 0){split}: every offset into the code table is wrong.",
            groups=n,
            expected=groups,
            **{key: report.measurements["groups"][key] for key in ("as_first", "as_predictors", "chance")},
        )
        return
    which = "" if judge is None else f"; they are the model's groups 0 to {n - 1}" if first == 0 else ""
    report.find(
        "codes.fewer-groups",
        f"There are {n} groups of codes; the model has {groups}{which}{split}.",
        groups=n,
        expected=groups,
    )


def _first_group(report: Report, codes: IntArray, judge: tuple[Model, TalkerPrompt]) -> int:
    """0 or 1: the model's group that the first row is; -1 where neither is likely."""
    model, prompt = judge
    as_first = completed(model, prompt, codes[:, : bounds.JUDGED_FRAMES], 0)
    as_predictors = (
        completed(model, prompt, codes[:, : bounds.JUDGED_FRAMES], 1)
        if len(codes) < model.geometry["code_predictor"]["num_code_groups"]
        else None
    )
    means = [likelihood.mean for likelihood in (as_first, as_predictors) if likelihood]
    report.measurements["groups"] = {
        "as_first": round(means[0], 3),
        "as_predictors": round(means[1], 3),
        "chance": round(as_first.chance, 3),
    }
    best = int(np.argmax(means))
    # What was filled in may be wrong, so the better reading need not be good, only far better.
    return best if bounds.FIRST_GROUP.above(max(means) - min(means)) or max(means) > as_first.chance else -1


def _times(nats: float) -> str:
    """A factor as people read it: never "1 times"."""
    factor = float(np.exp(min(nats, _MOST_NATS)))
    return f"{factor:,.1f}".removesuffix(".0")


def _capital(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]

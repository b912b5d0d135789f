"""Codes: are they what the model's talker and predictor say, in the shape and order that code2wav takes?"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml.doctor.case import Case
from omniggml.doctor.completion import completed
from omniggml.doctor.counterfactuals import Arrangement, arrangements
from omniggml.doctor.likelihood import Likelihood, likelihood_of, prompt_for
from omniggml.model import Model, TalkerPrompt

IntArray = npt.NDArray[np.int32]

_FRAMES = 24  # that the model judges: hundreds of codes, of which each says much
_CLEARLY = 0.3  # nats a code by which one reading has to beat another


def check_codes(case: Case) -> None:
    """Needs codes; more is known with a model, most with the text too. Sets `case.right_codes`."""
    if case.codes is None:
        return
    case.checked.append("codes")
    codes = _as_integers(case, case.codes)
    if codes is None:
        return
    geometry = case.vocoder_geometry
    if geometry is None:
        case.skipped.append("codes against the model: its geometry is not known")
        return
    groups, size = geometry["num_quantizers"], geometry["codebook_size"]
    codes = _upright(case, codes, groups)
    codes = _inside(case, codes, groups, size)
    if codes.size == 0:
        return
    case.measurements["codes"] = _statistics(codes, size)
    _check_variety(case, codes, size)
    if codes.min() < 0 or codes.max() >= size:
        return
    if len(codes) == groups:
        case.right_codes = codes
    _judge(case, codes, groups, size)


def _as_integers(case: Case, given: npt.NDArray[Any]) -> IntArray | None:
    whole = np.issubdtype(given.dtype, np.integer)
    if np.issubdtype(given.dtype, np.floating) and np.isfinite(given).all() and (given == np.round(given)).all():
        case.find(
            "codes.shape", f"The codes are {given.dtype}, though whole numbers: code2wav takes integers.", certainty=0.4
        )
        whole = True
    if given.ndim == 3 and given.shape[0] == 1:
        given = given[0]
    if given.ndim != 2 or not whole:
        case.find(
            "codes.shape",
            f"The codes are {given.dtype} of shape {list(given.shape)}; expected integers [groups, frames].",
            certainty=1,
        )
        return None
    if given.size == 0:
        case.find("codes.empty", f"There are no codes: the array has the shape {list(given.shape)}.", certainty=1)
        return None
    return given.astype(np.int32)


def _upright(case: Case, codes: IntArray, groups: int) -> IntArray:
    """[groups, frames], turned where the other axis has the model's number of groups."""
    if codes.shape[0] != groups and codes.shape[1] == groups:
        case.find(
            "codes.transposed",
            f"The codes are [{codes.shape[0]} frames, {groups} groups]; code2wav takes [groups, frames].",
            certainty=1,
            shape=list(codes.shape),
        )
        return np.ascontiguousarray(codes.T)
    return codes


# --- range ------------------------------------------------------------------------------------------------------------


def _inside(case: Case, codes: IntArray, groups: int, size: int) -> IntArray:
    """Codes without what was added to them, and without frames of control ids."""
    if codes.min() < 0:
        n = int((codes < 0).sum())
        case.find("codes.negative", f"{n} of {codes.size} codes are negative, the least {codes.min()}.", certainty=1)
        return codes
    if codes.max() < size:
        return codes
    stride = _added_offset(codes, size)
    if stride:
        per = "the model's codebook" if stride == size else f"the model's codebooks have {size} codes"
        case.find(
            "codes.offset-added",
            f"An offset of {stride} a group was added to the codes already ({per}); the vocoder adds its own.",
            certainty=0.97,
            stride=stride,
            codebook_size=size,
        )
        return codes - _added_base(codes, size, stride)
    return _without_control(case, codes, size)


def _added_offset(codes: IntArray, size: int) -> int:
    """The step from group to group by which the codes lie above the codebook, 0 where no step explains them."""
    least, most = codes.min(axis=1), codes.max(axis=1)
    for stride in (size, 2 * size, size // 2, 4 * size, 1024, 2048, 4096):
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


def _without_control(case: Case, codes: IntArray, size: int) -> IntArray:
    outside = codes >= size
    names = _control_ids(case)
    values = sorted(set(codes[outside].tolist()))
    known = {value: names[value] for value in values if value in names}
    if codes.max() == size and codes.min() >= 1 and not known:
        case.find(
            "codes.off-by-one", f"The codes run from {codes.min()} to {size}: they are counted from 1.", certainty=0.95
        )
        return codes - 1
    frames = outside.any(axis=0)
    if known and len(known) == len(values) and frames.mean() < 0.5:
        named = ", ".join(f"{value} ({name})" for value, name in known.items())
        case.find(
            "codes.control-ids",
            f"Ids for control are among the codes: {named}, in {int(frames.sum())} of {codes.shape[1]} frames, the "
            f"first {int(np.argmax(frames))}; the codebook ends at {size - 1}.",
            certainty=0.98,
            ids=values,
            frames=int(frames.sum()),
        )
        return codes[:, ~frames]
    group, frame = np.argwhere(outside)[0]
    case.find(
        "codes.out-of-range",
        f"{int(outside.sum())} of {codes.size} codes are beyond the codebook of {size}, the largest {codes.max()}, the "
        f"first in group {group}, frame {frame}.",
        certainty=0.9,
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


def _check_variety(case: Case, codes: IntArray, size: int) -> None:
    frames = codes.shape[1]
    if frames < 8:
        return
    same = (codes[:, 1:] == codes[:, :-1]).all(axis=0)
    if same.mean() > 0.9:
        n = int(same.sum()) + 1
        case.find(
            "codes.constant",
            f"{n} of {frames} frames are the same as the one before.",
            certainty=0.97,
            share=float(same.mean()),
        )
        return
    _check_cycle(case, codes)
    unique = [len(np.unique(row)) for row in codes]
    median = float(np.median(unique))
    stuck = [group for group, n in enumerate(unique) if n <= max(1, 0.1 * median) and median >= 8]
    if stuck and len(stuck) < len(codes):
        case.find(
            "codes.collapsed-group",
            f"Group {', '.join(map(str, stuck))} has {unique[stuck[0]]} different codes in {frames} frames, the "
            f"others {median:.0f}.",
            certainty=0.95,
            groups=stuck,
            unique=unique,
        )
    equal = [
        (a, b) for a in range(len(codes)) for b in range(a) if unique[a] > 4 and (codes[a] == codes[b]).mean() > 0.95
    ]
    if equal:
        a, b = equal[0]
        case.find(
            "codes.equal-groups",
            f"Groups {b} and {a} carry the same codes ({len(equal)} such pairs).",
            certainty=0.98,
            pairs=len(equal),
        )


def _check_cycle(case: Case, codes: IntArray) -> None:
    for period in range(2, min(16, codes.shape[1] // 4) + 1):
        again = (codes[:, period:] == codes[:, :-period]).all(axis=0)
        if again.mean() > 0.8:
            case.find("codes.repeating", f"The codes repeat every {period} frames.", certainty=0.9, period=period)
            return


# --- likelihood -------------------------------------------------------------------------------------------------------


def _judge(case: Case, codes: IntArray, groups: int, size: int) -> None:
    """What the model itself says of them."""
    if len(codes) > groups:
        case.find(
            "codes.more-groups", f"There are {len(codes)} groups of codes; the model has {groups}.", certainty=0.99
        )
        return
    model = case.model
    if model is None or not case.can_speak:
        if len(codes) < groups:
            _say_fewer(case, codes, groups, size, None)
        case.skipped.append("how likely the codes are: the model or its tokenizer can't be loaded")
        return
    # Where stuck or copied codes were found, likelihood adds nothing.
    if case.has("codes.constant", "codes.repeating", "codes.collapsed-group", "codes.equal-groups"):
        return
    prompt = prompt_for(model, case.text, case.speaker)
    if len(codes) < groups:
        _say_fewer(case, codes, groups, size, (model, prompt))
        return
    _try_arrangements(case, model, prompt, codes, groups, size)


def _try_arrangements(case: Case, model: Model, prompt: TalkerPrompt, codes: IntArray, groups: int, size: int) -> None:
    knows_text = case.text is not None
    given = likelihood_of(model, prompt, codes[:, :_FRAMES], of_talker=knows_text)
    case.measurements["likelihood"] = {"mean": round(given.mean, 3), "chance": round(given.chance, 3)}
    best: tuple[Arrangement, Likelihood] | None = None
    for arrangement in arrangements(codes, groups, size):
        changed = np.ascontiguousarray(arrangement.undo(codes)[:, :_FRAMES])
        found = likelihood_of(model, prompt, changed, of_talker=knows_text)
        if best is None or found.mean > best[1].mean:
            best = arrangement, found
    # A talker with a mistake says codes that are half explained already, in their right order.
    least = given.mean + max(_CLEARLY, 0.5 * (given.mean - given.chance))
    if best is not None and not best[1].ruled_out and best[1].mean > least:
        arrangement, found = best
        case.find(
            arrangement.id,
            f"{_capital(arrangement.sentence)}: put right, the model finds a code "
            f"{np.exp(found.mean - given.mean):.0g} times as likely.",
            certainty=0.96,
            given=round(given.sure, 3),
            cured=round(found.sure, 3),
            chance=round(given.chance, 3),
        )
        case.right_codes = np.ascontiguousarray(arrangement.undo(codes), np.int32)
        if arrangement.id == "codes.off-by-one":
            # The last code of the codebook, one too high, has the id of a control.
            case.findings = [finding for finding in case.findings if finding.id != "codes.control-ids"]
    elif given.ruled_out:
        case.find(
            "codes.unlikely",
            f"The model finds these codes less likely than chance ({given.sure:.1f} nats a code, chance "
            f"{given.chance:.1f}), in this or any other arrangement.",
            certainty=0.5,
            given=round(given.sure, 3),
            chance=round(given.chance, 3),
        )


def _say_fewer(case: Case, codes: IntArray, groups: int, size: int, judge: tuple[Model, TalkerPrompt] | None) -> None:
    """Which groups are there? Those that the model finds likely."""
    n = len(codes)
    split = f", as if its {groups} codebooks of {size} were {n} of {groups * size // n}" if groups % n == 0 else ""
    first = 0 if judge is None else _first_group(case, codes, judge)
    if first == 1:
        case.find(
            "codes.first-group-missing",
            f"These are {n} groups from the predictor, groups 1 to {n} of the model's {groups}, without the "
            f"talker's own "
            f"code (group 0){split}: every offset into the code table is wrong.",
            certainty=0.99,
            groups=n,
            expected=groups,
            **{key: case.measurements["groups"][key] for key in ("as_first", "as_predictors", "chance")},
        )
        return
    which = "" if judge is None else f"; they are the model's groups 0 to {n - 1}" if first == 0 else ""
    case.find(
        "codes.fewer-groups",
        f"There are {n} groups of codes; the model has {groups}{which}{split}.",
        certainty=0.95,
        groups=n,
        expected=groups,
    )


def _first_group(case: Case, codes: IntArray, judge: tuple[Model, TalkerPrompt]) -> int:
    """0 or 1: the model's group that the first row is; -1 where neither is likely."""
    model, prompt = judge
    as_first = completed(model, prompt, codes[:, :_FRAMES], 0)
    as_predictors = (
        completed(model, prompt, codes[:, :_FRAMES], 1)
        if len(codes) < model.geometry["code_predictor"]["num_code_groups"]
        else None
    )
    means = [likelihood.mean for likelihood in (as_first, as_predictors) if likelihood]
    case.measurements["groups"] = {
        "as_first": round(means[0], 3),
        "as_predictors": round(means[1], 3),
        "chance": round(as_first.chance, 3),
    }
    best = int(np.argmax(means))
    # What was filled in may be wrong, so the better reading need not be good, only far better.
    return best if max(means) - min(means) > _CLEARLY or max(means) > as_first.chance else -1


def _capital(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]
